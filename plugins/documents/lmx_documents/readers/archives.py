"""Zip archives that may be bombs: nothing is unpacked that is not bounded."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import BadZipFile, ZipFile, ZipInfo

from attrs import define

from lmx_documents.readers.reading import Budget, too_large, unreadable

MOST_ENTRIES = 20_000
MOST_BYTES = 256 * 2**20
"""Of all entries, unpacked; readers of libraries keep them in memory."""
MOST_RATIO = 200
"""Text is packed to a tenth, well-formed pages to a fiftieth."""
SMALL_BYTES = 2**20
"""Entries of this size are harmless, whatever their ratio."""


@define
class Archive:
    """An open archive, of which only so much is read."""

    zip: ZipFile
    name: str
    budget: Budget
    """In bytes of text with its markup."""

    def __contains__(self, entry: str) -> bool:
        return entry in self.zip.NameToInfo

    def read(self, entry: str) -> bytes:
        """One entry; raises InvalidRequest where it is missing or there is no budget left."""
        if entry not in self:
            raise unreadable(self.name, f"is damaged: it lacks its part {entry[:100]}")
        self.budget.take(self.zip.getinfo(entry).file_size)  # zipfile reads no more than that
        return self.zip.read(entry)


@contextmanager
def opened(path: Path, name: str, kind: str, max_chars: int, markup: int) -> Iterator[Archive]:
    """Open an archive and look at its directory; `markup` is how many bytes a character of text may take."""
    try:
        archive = ZipFile(path)
    except (BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise unreadable(name, f"is no {kind}: check that it is one") from error
    with archive:
        _check(archive, name)
        yield Archive(archive, name, Budget(name, max_chars * markup + SMALL_BYTES))


def _check(archive: ZipFile, name: str) -> None:
    entries = archive.infolist()
    if len(entries) > MOST_ENTRIES:
        raise unreadable(name, f"has {len(entries)} parts: split it")
    if any(entry.flag_bits & 1 for entry in entries):
        raise unreadable(name, "is encrypted: remove its password")
    if sum(entry.file_size for entry in entries) > MOST_BYTES or any(map(_is_bomb, entries)):
        raise too_large(name)


def _is_bomb(entry: ZipInfo) -> bool:
    return entry.file_size > SMALL_BYTES and entry.file_size > MOST_RATIO * max(1, entry.compress_size)
