"""The leg that searches words."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from threading import RLock
from typing import Any

from attrs import define, field, frozen

from lmx_hookspecs.context import Logger
from lmx_hookspecs.errors import NotFound
from lmx_hybrid.analysis import VERSION
from lmx_hybrid.changes import TEXTS, read_changes
from lmx_hybrid.damage import DamagedIndexError, failing_as_ours
from lmx_hybrid.database import Database
from lmx_hybrid.flat import Ids
from lmx_hybrid.legs import SLICE
from lmx_hybrid.positions import Position, current
from lmx_hybrid.schema import LIVING
from lmx_hybrid.state_files import read_state, write_state
from lmx_hybrid.text_index import TextIndex, remove_files

LAYOUT = 1
"""Of the files. Those of another one, or of another VERSION of the analysis, are made anew."""


@frozen(kw_only=True)
class TextOptions:
    """How words are indexed."""

    languages: Sequence[str]
    title_boost: int
    heap_bytes: int


@define(eq=False)
class TextLeg:
    """Its index is on disk, and is read from there."""

    database: Database
    collection: int
    directory: Path
    options: TextOptions
    log: Logger
    position: Position = field(factory=Position)
    _index: TextIndex | None = field(default=None, init=False)
    _taken: Position = field(factory=Position, init=False)
    """What has been handed to the index; less than this has been committed."""
    _written: Position = field(factory=Position, init=False)
    """What the state file says."""
    _uncommitted: bool = field(default=False, init=False)
    _dropped: bool = field(default=False, init=False)
    _turn: RLock = field(factory=RLock, init=False)

    @property
    def settling(self) -> bool:
        """Tantivy merges by itself."""
        return False

    def settle(self) -> None:
        """Nothing."""

    def step(self, target: Position) -> None:
        """Take a slice of changes over, and commit once there are no more."""
        with self._turn, self._failing_as_ours():
            if self.position.reaches(target):
                return
            index = self._opened()
            with self.database.reading() as connection:
                changes = read_changes(connection, TEXTS, self.collection, self._taken, SLICE)
            index.remove(changes.removed)
            index.add([(chunk, f"{document} {title}", text) for chunk, title, text, document in changes.added])
            self._taken = changes.position
            self._uncommitted |= bool(changes.added or changes.removed)
            if changes.complete:
                self._commit(index)

    def search(self, text: str, k: int, allowed: Ids | None) -> list[tuple[int, float]]:
        """The chunks with the best BM25."""
        with self._failing_as_ours():
            return self._opened().search(text, k, allowed)

    def matched_shares(self, text: str, ids: Sequence[int]) -> Mapping[int, float]:
        """How much of the text's words these chunks have, from 0 to 1."""
        with self._failing_as_ours():
            return self._opened().matched_shares(text, ids)

    def checkpoint(self, flush: Callable[[], None]) -> Position | None:
        """Write down where the files stand; without changes since the last time, release what changing takes."""
        with self._turn:
            if self._index is None:
                return self._usable_position()
            if self._written == self.position:
                self._index.release()
                return self._written
            flush()
            self._write(self.position)
            return self._written

    def close(self) -> None:
        """Let go of Tantivy's threads and files."""
        with self._turn:
            if self._index is not None:
                self._index.release()
                self._index = None

    def drop(self) -> None:
        """Delete the files."""
        with self._turn:
            self._dropped = True
            if self._index is not None:
                self._index.discard()
                self._index = None
            self._remove()

    def describe(self) -> Mapping[str, Any]:
        """For operators."""
        index = self._index  # another thread may let go of it
        return {
            "index": "tantivy",
            **({"chunks": len(index), "disk_bytes": index.disk_bytes} if index is not None else {}),
        }

    def _failing_as_ours(self) -> AbstractContextManager[None]:
        return failing_as_ours("the index of words", self._forget)

    def _forget(self, good: bool) -> None:
        """What is on disk is looked at before it is used again, or not used."""
        with self._turn:
            self._index = None
            if not good:
                self._state_file.unlink(missing_ok=True)
            self._taken = self.position = Position()
            self._uncommitted = False

    def _commit(self, index: TextIndex) -> None:
        if self._uncommitted:
            index.commit()
            self._uncommitted = False
        self.position = self._taken

    def _opened(self) -> TextIndex:
        with self._turn:
            if self._dropped:
                raise NotFound("the collection has been deleted", code="collection_not_found", param="collection")
            if self._index is None:
                self._index = self._read_or_make()
            return self._index

    def _read_or_make(self) -> TextIndex:
        """The files, if they are what they should be: they follow a state that the database has passed."""
        try:
            saved = self._saved_position()
            if saved is not None:
                return self._read(saved)
        except DamagedIndexError as error:
            self.log.warning("index_made_anew", index="words", collection=self.collection, reason=str(error))
        self._remove()
        self._taken = self.position = Position()
        index = self._open_files()
        self._write(self._taken)
        return index

    def _read(self, saved: Position) -> TextIndex:
        with self.database.reading() as connection:
            now = current(connection)
            behind = f"SELECT count(*) FROM {LIVING} WHERE c.collection = ? AND c.id <= ?"  # noqa: S608  a constant
            (count,) = connection.execute(behind, (self.collection, saved.chunk)).fetchone()
            gone = "SELECT count(*) FROM deletions WHERE collection = ? AND seq > ? AND chunk <= ?"
            (removed,) = connection.execute(gone, (self.collection, saved.deletion, saved.chunk)).fetchone()
        if not now.reaches(saved):
            raise DamagedIndexError("the database is older than the index")
        index = self._open_files()
        index.remove_after(saved.chunk)
        index.commit()
        if not count <= len(index) <= count + removed:
            index.release()
            raise DamagedIndexError(f"it has {len(index)} chunks of {count}")
        self._taken = self._written = saved
        return index

    def _open_files(self) -> TextIndex:
        options = self.options
        return TextIndex.open(self.directory, options.languages, options.title_boost, options.heap_bytes)

    @property
    def _state_file(self) -> Path:
        return self.directory.with_name(f"{self.directory.name}.json")

    def _saved_position(self) -> Position | None:
        state = read_state(self._state_file)
        if not state or not self.directory.exists():
            return None
        if (state.get("layout"), state.get("analysis")) != (LAYOUT, VERSION):
            raise DamagedIndexError("another version of the analysis made it")
        return Position(int(state.get("chunk", 0)), int(state.get("deletion", 0)))

    def _usable_position(self) -> Position | None:
        """None for the files of another version too: they are made anew, which takes no notes of deletions."""
        try:
            return self._saved_position()
        except DamagedIndexError:
            return None

    def _write(self, position: Position) -> None:
        version = {"layout": LAYOUT, "analysis": VERSION}
        write_state(self._state_file, {**version, "chunk": position.chunk, "deletion": position.deletion})
        self._written = position

    def _remove(self) -> None:
        self._state_file.unlink(missing_ok=True)
        remove_files(self.directory)
