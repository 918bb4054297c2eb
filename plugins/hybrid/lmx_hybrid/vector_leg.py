"""The leg that searches vectors."""

import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
from attrs import define, field

from lmx_hookspecs.context import Logger
from lmx_hybrid.changes import VECTORS, read_changes
from lmx_hybrid.compact import ids_file
from lmx_hybrid.damage import DamagedIndexError
from lmx_hybrid.database import Database
from lmx_hybrid.flat import Ids
from lmx_hybrid.legs import SLICE
from lmx_hybrid.positions import Position, current
from lmx_hybrid.schema import LIVING
from lmx_hybrid.state_files import read_state, write_state
from lmx_hybrid.vector_index import VectorIndex
from lmx_hybrid.vectors import fetch_rows, normalised_rows

SAVED_PART = 10
READ_BYTES = 2**20


@define(eq=False)
class VectorLeg:
    """Exact parts are read from the database, which takes as long as a file would; a compact index is saved."""

    database: Database
    collection: int
    file: Path
    """Of the compact index, without its suffix."""
    index: VectorIndex
    log: Logger
    position: Position = field(factory=Position)
    _opened: bool = field(default=False, init=False)
    _dropped: bool = field(default=False, init=False)
    _turn: RLock = field(factory=RLock, init=False)

    @property
    def settling(self) -> bool:
        """Whether rows wait for the compact index."""
        return self.index.folding

    def step(self, target: Position) -> None:
        """Take a slice of changes over."""
        with self._turn:
            if self.position.reaches(target):
                return
            if not self._opened:
                self._open()
            with self.database.reading() as connection:
                changes = read_changes(connection, VECTORS, self.collection, self.position, SLICE)
            self.index.remove(np.array(changes.removed, np.int64))
            if changes.added:
                ids = np.array([row[0] for row in changes.added], np.int64)
                self.index.add(ids, normalised_rows(b"".join(row[1] for row in changes.added), len(ids)))
            self.position = changes.position

    def settle(self) -> None:
        """Move some rows to the compact index."""
        with self._turn:
            self.index.fold()

    def search(self, embedding: bytes, k: int, allowed: Ids | None) -> list[tuple[int, float]]:
        """The chunks with the greatest cosine similarity."""
        return self.index.search(normalised_rows(embedding, 1)[0], k, allowed)

    def checkpoint(self, flush: Callable[[], None]) -> Position | None:
        """Save the compact index once a tenth of it has changed, for it is written as a whole."""
        with self._turn:
            compact = self.index.compact
            if self._dropped or compact is None or self.index.changes * SAVED_PART <= len(compact):
                return None
            self.file.parent.mkdir(parents=True, exist_ok=True)
            partial = self._file(".partial")
            compact.save(partial)
            flush()
            ids_file(partial).replace(ids_file(self._index_file))
            partial.replace(self._index_file)
            write_state(self._state_file, self._state())
            self.index.changes = 0
        return None

    def close(self) -> None:
        """Nothing to let go of."""

    def drop(self) -> None:
        """Delete what was saved."""
        with self._turn:
            self._dropped = True
            self._remove()

    def describe(self) -> Mapping[str, Any]:
        """For operators."""
        return {
            "index": self.index.name,
            "chunks": len(self.index),
            "pending": len(self.index.tail) if self.index.folding else 0,
            "memory_bytes": self.index.memory_bytes,
        }

    @property
    def _state_file(self) -> Path:
        return self._file(".json")

    @property
    def _index_file(self) -> Path:
        return self._file(".index")

    def _file(self, suffix: str) -> Path:
        return self.file.with_name(self.file.name + suffix)

    def _state(self) -> dict[str, Any]:
        kind = self.index.kind
        return {
            "kind": kind.name if kind else "",
            "shape": list(kind.shape) if kind else [],
            "chunk": self.position.chunk,
            "checksums": [_checksum(self._index_file), _checksum(ids_file(self._index_file))],
        }

    def _open(self) -> None:
        """Begin with what is saved; from nothing again where the database could not be read the last time."""
        self.index.clear()
        self._take_over()
        self._opened = True

    def _take_over(self) -> None:
        """Take the saved index, without what has been deleted since, and read what it lacks."""
        if self.index.kind is not None:
            self._take_saved()
        if self.index.compact is None:
            return  # all of it is read, slice by slice
        with self.database.reading() as connection:
            now = current(connection)
            rows = connection.execute(
                f"SELECT c.id FROM {LIVING} WHERE c.collection = ? ORDER BY c.id",  # noqa: S608  a constant
                (self.collection,),
            )
            truth = np.fromiter((chunk for (chunk,) in rows), np.int64)
        held = self.index.compact.ids()
        self.index.remove(np.setdiff1d(held, truth, assume_unique=True))
        missing = np.setdiff1d(truth, held, assume_unique=True)
        for start in range(0, len(missing), SLICE):
            self.index.add(*fetch_rows(self.database, missing[start : start + SLICE], self.index.tail.dimensions))
        self.position = now

    def _remove(self) -> None:
        for file in (self._index_file, self._file(".partial")):
            file.unlink(missing_ok=True)
            ids_file(file).unlink(missing_ok=True)
        self._state_file.unlink(missing_ok=True)

    def _take_saved(self) -> None:
        state = read_state(self._state_file)
        if not state:
            return
        with self.database.reading() as connection:
            now = current(connection)
        try:
            if state.get("chunk", 0) > now.chunk:
                raise DamagedIndexError("the database is older than the index")
            if state != {**self._state(), "chunk": state.get("chunk")}:
                raise DamagedIndexError("it does not have the shape or the checksum that was written down")
            self.index.load(self._index_file)
        except (DamagedIndexError, OSError) as error:
            self.log.warning("index_made_anew", index="vectors", collection=self.collection, reason=str(error))
            self.index.compact = None
            self._remove()


def _checksum(file: Path) -> int:
    checksum = 0
    with file.open("rb") as opened:
        while data := opened.read(READ_BYTES):
            checksum = zlib.crc32(data, checksum)
    return checksum
