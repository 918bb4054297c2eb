"""Headers of GGUF files, read without an engine: what a model is, before anybody loads it.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import mmap
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, frozen

MAGIC = b"GGUF"
VERSIONS = (2, 3)
FORMATS: Mapping[int, str] = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip
"""Numbers by their type."""
STRING, ARRAY = 8, 9
LONGEST_LIST = 4096
"""Longer arrays are vocabularies, of which only the length is told."""
LONGEST_STRING = 16 * 1024**2
MOST_ENTRIES = 1_000_000
MOST_DIMENSIONS = 4
ALIGNMENT = 32
VOCABULARY = "tokenizer."
ENCODERS = frozenset(
    {"bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "jina-bert-v2", "jina-bert-v3", "modern-bert"}
)
"""Architectures that read a text at once and predict no next token."""


class DamagedGguf(ValueError):
    """The file is no GGUF file, or not all of it is there; the message says which."""


@frozen
class GgufHeader:
    """The metadata of a file, and where its tensors lie."""

    values: Mapping[str, Any]
    """Strings, numbers and lists of numbers; of arrays that are long or hold strings, the number of entries."""
    tensors: int
    last_tensor_begins: int
    """Bytes from the begin of the file; the file is longer than that, or damaged."""

    @property
    def architecture(self) -> str:
        """What llama.cpp calls it, such as `llama`; empty where the file does not say."""
        name = self.values.get("general.architecture")
        return name if isinstance(name, str) else ""

    @property
    def pools(self) -> bool:
        """Whether the model makes one vector of a text."""
        return self.architecture in ENCODERS or self.number("pooling_type") > 0

    def number(self, name: str, default: int = 0) -> int:
        """A whole number of the architecture, such as `block_count`; of a list the largest."""
        value = self.values.get(f"{self.architecture}.{name}")
        if isinstance(value, list):
            value = max((entry for entry in value if isinstance(entry, int)), default=None)
        return value if isinstance(value, int) and not isinstance(value, bool) else default

    def numbers(self, name: str, count: int) -> Sequence[int]:
        """One number for each of `count` layers; zeros where the file does not say."""
        value = self.values.get(f"{self.architecture}.{name}")
        if isinstance(value, list) and len(value) == count:
            return [entry if isinstance(entry, int) else 0 for entry in value]
        return [self.number(name)] * count


def read_gguf_header(path: Path, *, vocabulary: bool = True) -> GgufHeader:
    """The header of a file, or of the first of its parts; raises OSError, and DamagedGguf.

    Without `vocabulary`, reading ends where that begins: what the model is comes before, and is read at once.
    """
    size_bytes = path.stat().st_size
    if size_bytes == 0:
        raise DamagedGguf("the file is empty")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            header = _read(_Reader(data), vocabulary=vocabulary)
        except (struct.error, UnicodeDecodeError, IndexError) as error:
            raise DamagedGguf(f"its header ends in the middle or is garbled: {error}") from error
    if header.tensors and header.last_tensor_begins >= size_bytes:
        raise DamagedGguf(
            f"it has {size_bytes} bytes, and its last tensor begins at {header.last_tensor_begins}: the end is missing"
        )
    return header


@define
class _Reader:
    data: Any
    place: int = 0

    def number(self, layout: str) -> Any:
        (value,) = struct.unpack_from(layout, self.data, self.place)
        self.place += struct.calcsize(layout)
        return value

    def count(self, most: int) -> int:
        value = int(self.number("<Q"))
        if value > most:
            raise DamagedGguf(f"it claims to have {value} of something that no model has so many of")
        return value

    def raw(self) -> bytes:
        length = self.count(LONGEST_STRING)
        begin, self.place = self.place, self.place + length
        if self.place > len(self.data):
            raise DamagedGguf("its header ends in the middle of a string")
        return bytes(self.data[begin : self.place])

    def text(self) -> str:
        return self.raw().decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind == STRING:
            return self.text()
        if kind == ARRAY:
            return self.array()
        if kind not in FORMATS:
            raise DamagedGguf(f"it has a value of the unknown type {kind}")
        return self.number(FORMATS[kind])

    def array(self) -> Any:
        kind, length = self.number("<I"), self.count(MOST_ENTRIES * 100)
        if kind in FORMATS and length > LONGEST_LIST:
            self.place += length * struct.calcsize(FORMATS[kind])
            return length
        if kind in FORMATS:
            return [self.number(FORMATS[kind]) for _ in range(length)]
        for _ in range(length):
            if kind == STRING:
                self.skip_string()
            else:
                self.value(kind)
        return length

    def skip_string(self) -> None:
        (length,) = struct.unpack_from("<Q", self.data, self.place)
        self.place += 8 + length


def _read(reader: _Reader, *, vocabulary: bool) -> GgufHeader:
    if bytes(reader.data[:4]) != MAGIC:
        raise DamagedGguf("it does not begin with GGUF: it is no GGUF file")
    reader.place = 4
    version = reader.number("<I")
    if version not in VERSIONS:
        raise DamagedGguf(f"it has version {version} of the format, and {' and '.join(map(str, VERSIONS))} are known")
    tensors, entries = reader.count(MOST_ENTRIES), reader.count(MOST_ENTRIES)
    values: dict[str, Any] = {}
    for _ in range(entries):
        name = reader.text()
        if not vocabulary and name.startswith(VOCABULARY):
            return GgufHeader(values, 0, 0)
        values[name] = reader.value(reader.number("<I"))
    last = max((_tensor_offset(reader) for _ in range(tensors)), default=0)
    aligned = values.get("general.alignment")
    alignment = aligned if isinstance(aligned, int) and aligned > 0 else ALIGNMENT
    return GgufHeader(values, tensors, -(-reader.place // alignment) * alignment + last)


def _tensor_offset(reader: _Reader) -> int:
    reader.skip_string()
    dimensions = reader.number("<I")
    if dimensions > MOST_DIMENSIONS:
        raise DamagedGguf(f"it has a tensor of {dimensions} dimensions")
    reader.place += 8 * dimensions + 4
    return int(reader.number("<Q"))
