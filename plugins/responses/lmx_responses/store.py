"""The database in a thread of its own, opened when it is first needed; a damaged one is set aside."""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from attrs import define, field

from lmx_hookspecs import Logger
from lmx_hookspecs.errors import InsufficientStorage
from lmx_responses.database import Bounds, Database, Stored, open_database
from lmx_responses.items import Item

T = TypeVar("T")
FILE, LOCK = "responses.db", "responses.lock"
SIDE_FILES = ("", "-wal", "-shm")


@define(eq=False)
class Store:
    """Everything that is kept. Each call waits for its turn in the thread, never in the event loop."""

    folder: Path
    bounds: Bounds
    now: Callable[[], float]
    log: Logger
    _thread: ThreadPoolExecutor = field(factory=lambda: ThreadPoolExecutor(1, "responses"))
    _database: Database | None = None
    _lock: int | None = None

    async def put(self, owner: str, response: Mapping[str, Any], given: Sequence[Item]) -> None:
        """Begin to keep a response; raises InvalidRequest for one that is too large, InsufficientStorage."""
        await self._call(lambda database: database.put(owner, response, given))

    async def update(self, response: Mapping[str, Any]) -> bool:
        """What it became; False where nobody keeps it any more."""
        return await self._call(lambda database: database.update(response))

    async def get(self, owner: str, response_id: str) -> Stored | None:
        """One of that owner."""
        return await self._call(lambda database: database.get(owner, response_id))

    async def item(self, owner: str, item_id: str) -> Item | None:
        """The item with that id, of any of the owner's responses."""
        return await self._call(lambda database: database.item(owner, item_id))

    async def remove(self, owner: str, response_id: str) -> bool:
        """Forget one; False where there is none."""
        return await self._call(lambda database: database.remove(owner, response_id))

    async def close(self) -> None:
        """Once everything is written."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    async def _call(self, ask: Callable[[Database], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, ask)

    def _answer(self, ask: Callable[[Database], T]) -> T:
        try:
            return self._asked(ask)
        except (sqlite3.Error, OSError) as error:
            raise InsufficientStorage(
                f"responses cannot be kept in {self.folder}: {error}; mend that, or send store: false"
            ) from error

    def _asked(self, ask: Callable[[Database], T]) -> T:
        try:
            return ask(self._opened())
        except sqlite3.OperationalError:
            raise  # the disk, not what is on it
        except sqlite3.DatabaseError as error:
            self._set_aside(error)
            return ask(self._opened())

    def _opened(self) -> Database:
        if self._database is None:
            ours = self._take_lock()
            if not ours:
                self.log.warning("responses_in_memory", reason="another server keeps those of this LMX_HOME")
            self._database = open_database(self.folder / FILE if ours else None, self.bounds, self.now)
            left = self._database.fail_unfinished()
            if left:
                self.log.warning("responses_interrupted", count=left)
        return self._database

    def _take_lock(self) -> bool:
        """Whether the file is ours; two servers would take each other's running responses for dead ones."""
        if self._lock is None:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self._lock)
                self._lock = None
        return self._lock is not None

    def _set_aside(self, error: sqlite3.DatabaseError) -> None:
        """An earlier damaged one makes room for this one."""
        if self._database is not None:
            self._database.close()
            self._database = None
        for suffix in SIDE_FILES:
            path = self.folder / f"{FILE}{suffix}"
            if path.exists():
                path.replace(self.folder / f"{FILE}.damaged{suffix}")
        self.log.error("responses_set_aside", file=str(self.folder / f"{FILE}.damaged"), reason=str(error))

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
