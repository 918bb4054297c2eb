"""One KV cache as one safetensors file, with its tokens, what it belongs to, and a checksum over all of it.

Format: https://huggingface.co/docs/safetensors (eight bytes of length, a JSON header, the arrays). Any tool for it can
look inside. No MLX here: these functions run in threads beside the engine's.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from attrs import frozen

FORMAT = "lmx-kv-1"
LONGEST_HEADER_BYTES = 16 * 1024 * 1024
TOKENS = "tokens"
NUMPY_TYPES: Mapping[str, str] = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "U32": "<u4", "I32": "<i4", "U8": "u1"}
"""Bits of bfloat16 travel as whole numbers: NumPy does not know the type."""


class DamagedFile(Exception):
    """The file is not what was written, or belongs to something else; the message says which."""


@frozen(eq=False)
class Stored:
    """An array, and its type in the words of the format."""

    dtype: str
    array: Any


@frozen(eq=False, kw_only=True)
class CacheFile:
    """What one file holds."""

    identity: str
    """Of everything that the numbers depend on beside the tokens."""
    tokens: Any
    layout: Sequence[Any]
    arrays: Sequence[Stored]
    cuttable: bool
    """Whether a part of it can be used, from the beginning."""


@frozen(eq=False, kw_only=True)
class Listed:
    """What the head of a file says, without the arrays."""

    tokens: Any
    cuttable: bool
    size_bytes: int


def write(path: Path, file: CacheFile) -> None:
    """Write the whole file; the caller gives it its name once it is complete."""
    tensors = _tensors(file)
    facts = _facts(file)
    header: dict[str, Any] = {"__metadata__": {**facts, "sha256": _digest(facts, tensors)}}
    start = 0
    for name, stored in tensors.items():
        end = start + stored.array.nbytes
        header[name] = {"dtype": stored.dtype, "shape": list(stored.array.shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as output:
        output.write(len(text).to_bytes(8, "little"))
        output.write(text)
        for stored in tensors.values():
            output.write(_bytes(stored))


def read(path: Path, identity: str) -> CacheFile:
    """Everything, checked; raises DamagedFile, and FileNotFoundError where somebody has deleted it."""
    with path.open("rb") as source:
        header, base = _header(source)
        facts = header["__metadata__"]
        _check_identity(facts, identity)
        tensors = {name: _tensor(source, base, entry) for name, entry in header.items() if name != "__metadata__"}
    told = facts.pop("sha256", None)
    if told != _digest(facts, tensors):
        raise DamagedFile("its checksum is wrong")
    try:
        return CacheFile(
            identity=identity,
            tokens=_checked_tokens(tensors.pop(TOKENS)),
            layout=json.loads(facts["layout"]),
            arrays=[tensors[name] for name in sorted(tensors)],
            cuttable=facts["cuttable"] == "true",
        )
    except (KeyError, TypeError, ValueError, RecursionError) as error:  # somebody else's checksum may be right too
        raise DamagedFile("it lacks its tokens or its layout") from error


def read_head(path: Path, identity: str) -> Listed:
    """Its tokens, without a look at the arrays; raises as `read` does, but for the checksum."""
    with path.open("rb") as source:
        header, base = _header(source)
        facts = header["__metadata__"]
        _check_identity(facts, identity)
        if TOKENS not in header:
            raise DamagedFile("it has no tokens")
        tokens = _checked_tokens(_tensor(source, base, header[TOKENS]))
        size_bytes = source.seek(0, 2)
    return Listed(tokens=tokens, cuttable=facts.get("cuttable") == "true", size_bytes=size_bytes)


def _facts(file: CacheFile) -> dict[str, str]:
    return {
        "format": FORMAT,
        "identity": file.identity,
        "layout": json.dumps(file.layout),
        "cuttable": json.dumps(file.cuttable),
    }


def _tensors(file: CacheFile) -> dict[str, Stored]:
    named = {f"{number:06}": stored for number, stored in enumerate(file.arrays)}
    return {TOKENS: Stored("I32", np.asarray(file.tokens, dtype=np.int32)), **named}


def _digest(facts: Mapping[str, str], tensors: Mapping[str, Stored]) -> str:
    digest = hashlib.sha256(json.dumps(sorted(facts.items())).encode())
    for name, stored in sorted(tensors.items()):
        digest.update(f"{name} {stored.dtype} {stored.array.shape}".encode())
        digest.update(_bytes(stored))
    return digest.hexdigest()


def _bytes(stored: Stored) -> memoryview:
    whole: Any = np.ascontiguousarray(stored.array)
    return memoryview(whole).cast("B")


def _header(source: BinaryIO) -> tuple[dict[str, Any], int]:
    length = int.from_bytes(source.read(8), "little")
    if not 2 <= length <= LONGEST_HEADER_BYTES:
        raise DamagedFile("it has no header")
    try:
        header = json.loads(source.read(length))
    except (ValueError, RecursionError) as error:
        raise DamagedFile("its header cannot be read") from error
    if not isinstance(header, dict) or not isinstance(header.get("__metadata__"), dict):
        raise DamagedFile("its header says nothing of what it is")
    return header, 8 + length


def _check_identity(facts: Mapping[str, Any], identity: str) -> None:
    if facts.get("format") != FORMAT:
        raise DamagedFile(f"it has another format, {facts.get('format')}")
    if facts.get("identity") != identity:
        raise DamagedFile("it belongs to another model, adapter or version")


def _tensor(source: BinaryIO, base: int, entry: Any) -> Stored:
    try:
        (start, end), shape, kind = entry["data_offsets"], entry["shape"], NUMPY_TYPES[entry["dtype"]]
        if not 0 <= start <= end <= source.seek(0, 2) - base:
            raise ValueError
        source.seek(base + start)
        data = source.read(end - start)
        array = np.frombuffer(data, dtype=kind).reshape(shape)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DamagedFile("an array is cut off or described wrongly") from error
    return Stored(entry["dtype"], array)


def _checked_tokens(stored: Stored) -> Any:
    if stored.dtype != "I32" or stored.array.ndim != 1:
        raise DamagedFile("its tokens are no list of whole numbers")
    return stored.array


def common_length(left: Any, right: Any) -> int:
    """How many tokens two arrays share from the beginning."""
    length = min(len(left), len(right))
    different = np.flatnonzero(left[:length] != right[:length])
    return int(different[0]) if different.size else length


def names(folder: Path, suffix: str) -> Iterator[Path]:
    """Files of that suffix in the folder, if there is one."""
    return (path for path in folder.glob(f"*{suffix}") if path.is_file())
