"""The two legs of a search: an index each that follows the database, from wherever it stands."""

import json
import os
from pathlib import Path
from threading import RLock
from typing import Any, Protocol

import numpy as np
from attrs import asdict, define, field

from lmx_hybrid.changes import TEXTS, VECTORS, read_changes
from lmx_hybrid.database import Database
from lmx_hybrid.flat import FlatIndex, Floats, Ids
from lmx_hybrid.positions import Position
from lmx_hybrid.text_index import DamagedIndexError, TextIndex, remove_files

SLICE = 2048
"""Chunks that are indexed in one go; other collections get their turn in between."""


class Leg(Protocol):
    """What the store needs of either."""

    @property
    def position(self) -> Position:
        """How far it has followed the database."""

    def step(self) -> None:
        """Follow it some more. Called in any thread; one at a time gets through."""

    def close(self) -> None:
        """Write down what takes long to make, and let go of everything."""

    def drop(self) -> None:
        """Let go of everything, and delete its files."""


@define(eq=False)
class VectorLeg:
    """Vectors of one collection."""

    database: Database
    collection: int
    index: FlatIndex
    kind: str
    position: Position = Position()
    _turn: RLock = field(factory=RLock, init=False)

    def step(self) -> None:
        """Take a slice of changes over."""
        with self._turn:
            with self.database.reading() as connection:
                changes = read_changes(connection, VECTORS, self.collection, self.position, SLICE)
            self.index.remove(np.array(changes.removed, np.int64))
            if changes.added:
                ids = np.array([row[0] for row in changes.added], np.int64)
                self.index.add(ids, normalised_rows(b"".join(row[1] for row in changes.added), len(ids)))
            self.position = changes.position

    def search(self, embedding: bytes, k: int, allowed: Ids | None) -> list[tuple[int, float]]:
        """The chunks with the greatest cosine similarity."""
        return self.index.search(normalised_rows(embedding, 1)[0], k, allowed)

    def close(self) -> None:
        """Nothing to write down: the database has it all."""

    def drop(self) -> None:
        """No files."""


def normalised_rows(data: bytes, count: int) -> Floats:
    """Vectors of length 1; a zero vector stays, and is similar to nothing."""
    rows = np.frombuffer(data, "<f4").astype(np.float32).reshape(count, -1)
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    rows /= np.where(largest > 0, largest, 1)  # squares of large or tiny numbers do not fit
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    rows /= np.where(lengths > 0, lengths, 1)
    return rows


@define(eq=False)
class TextLeg:
    """Words of one collection."""

    database: Database
    collection: int
    directory: Path
    options: dict[str, Any]
    """Those of TextIndex.open."""
    _index: TextIndex | None = None
    position: Position = Position()
    _taken: Position = field(default=Position(), init=False)
    _turn: RLock = field(factory=RLock, init=False)

    @property
    def state_file(self) -> Path:
        """How far the files on disk have followed the database."""
        return self.directory.with_suffix(".json")

    def step(self) -> None:
        """Take a slice of changes over, and commit once there are no more."""
        with self._turn:
            index = self._opened()
            with self.database.reading() as connection:
                changes = read_changes(connection, TEXTS, self.collection, self._taken, SLICE)
            index.remove(changes.removed)
            index.add([(id, f"{document} {title}", text) for id, title, text, document in changes.added])
            self._taken = changes.position
            if changes.complete:
                index.commit()
                self.position = self._taken

    def search(self, text: str, k: int, allowed: Ids | None) -> list[tuple[int, float]]:
        """The chunks with the best BM25."""
        return self._opened().search(text, k, allowed)

    def checkpoint(self) -> None:
        """Write down where the files stand."""
        with self._turn:
            if self._index is not None:
                temporary = self.state_file.with_suffix(".partial")
                temporary.write_text(json.dumps(asdict(self.position)))
                with temporary.open("rb") as written:
                    os.fsync(written.fileno())
                temporary.replace(self.state_file)

    def close(self) -> None:
        """Write everything down."""
        with self._turn:
            if self._index is not None:
                self._index.close()
                self.checkpoint()
                self._index = None

    def drop(self) -> None:
        """Delete the files."""
        with self._turn:
            if self._index is not None:
                self._index.close()
                self._index = None
            remove_files(self.directory)
            self.state_file.unlink(missing_ok=True)

    def _opened(self) -> TextIndex:
        with self._turn:
            if self._index is None:
                try:
                    self._open()
                except DamagedIndexError:
                    self._make_anew()
            assert self._index is not None
            return self._index

    def _open(self) -> None:
        state = self.state_file.read_text() if self.state_file.exists() else ""
        if not state:
            self._make_anew()
            return
        self._index = TextIndex.open(self.directory, **self.options)
        self._taken = Position(**json.loads(state))
        self._index.remove_after(self._taken.chunk)

    def _make_anew(self) -> None:
        remove_files(self.directory)
        self.state_file.unlink(missing_ok=True)
        self._index = TextIndex.open(self.directory, **self.options)
        self._taken = self.position = Position()
