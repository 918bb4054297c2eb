"""What holds for every reader: its module is imported on use, its bounds are kept, and its failures have a name."""

import re
from collections.abc import Set as AbstractSet
from importlib import import_module
from pathlib import Path
from types import ModuleType

from attrs import define, evolve, field

from lmx_hookspecs import LmxError, ReaderSpec, ReadText
from lmx_hookspecs.errors import InvalidRequest

UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""NUL, and halves of surrogate pairs: neither databases nor UTF-8 take them."""
LONGEST_REASON = 200
BYTES_PER_CHAR = 4
"""Of UTF-8, at most."""


def reader(
    name: str, kind: str, suffixes: AbstractSet[str], media_types: AbstractSet[str], *, texts: bool = False
) -> ReaderSpec:
    """The spec of the function `read` in the module of this name, and where such files are `texts`, of its `of_text`.

    `kind` is what messages call such a file.
    """

    def read(path: Path, owners_name: str, max_chars: int) -> ReadText:
        return _read(name, kind, path, owners_name, max_chars)

    def of_text(text: str, owners_name: str) -> ReadText:
        made: ReadText = _module(name).of_text(text, owners_name)
        return made

    return ReaderSpec(
        name=name,
        suffixes=frozenset(suffixes),
        media_types=frozenset(media_types),
        read=read,
        of_text=of_text if texts else None,
    )


def _module(reader_name: str) -> ModuleType:
    return import_module(f"lmx_documents.readers.{reader_name}_files")


def _read(reader_name: str, kind: str, path: Path, name: str, max_chars: int) -> ReadText:
    try:
        if path.stat().st_size == 0:
            return ReadText(text="")
        read: ReadText = _module(reader_name).read(path, name, max_chars)
    except LmxError:
        raise
    except MemoryError as error:
        raise too_large(name) from error
    except Exception as error:  # files may be damaged in any way, and each library has its own errors for it
        raise unreadable(name, f"cannot be read as a {kind}{_reason(error, path)}; check that it is one") from error
    Budget(name, max_chars).take(len(read.text))
    return evolve(read, text=UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", read.text), title=" ".join(read.title.split()))


def unreadable(name: str, what: str) -> InvalidRequest:
    """The error for a file that cannot be read, by the name that its owner knows."""
    return InvalidRequest(f"{name} {what}", code="unreadable_file")


def too_large(name: str) -> InvalidRequest:
    """The error for a file that would take too long."""
    return InvalidRequest(f"{name} holds too much: split it, or raise rag.max_document_chars", code="file_too_large")


@define
class Budget:
    """Counts the characters that are read, and stops in time."""

    name: str
    max_chars: int
    taken: int = field(default=0, init=False)

    def take(self, chars: int) -> None:
        """Count some more; raises InvalidRequest (`file_too_large`) once they are too many."""
        self.taken += chars
        if self.taken > self.max_chars:
            raise too_large(self.name)


def bytes_of(path: Path, name: str, max_chars: int) -> bytes:
    """The file, unless it is too long to hold so few characters in any encoding."""
    most = (max_chars + 1) * BYTES_PER_CHAR  # one for the byte order mark
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise too_large(name)
    return data


def _reason(error: Exception, path: Path) -> str:
    """What the library says, unless it names the file by its path, which means nothing to its owner."""
    said = " ".join(str(error).split())[:LONGEST_REASON]
    return "" if not said or path.name in said else f": {said}"
