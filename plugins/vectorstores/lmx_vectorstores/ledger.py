"""The database in a thread of its own, opened when it is first needed, and kept from other servers."""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from attrs import define, field

from lmx_hookspecs.errors import InsufficientStorage, Unavailable
from lmx_vectorstores.database import open_database

P = ParamSpec("P")
T = TypeVar("T")
FILE, LOCK = "vectorstores.db", "vectorstores.lock"


@define(eq=False)
class Ledger:
    """All facts. Each question is one transaction, and waits for its turn in the thread, never in the event loop."""

    folder: Path
    _thread: ThreadPoolExecutor = field(factory=lambda: ThreadPoolExecutor(1, "vectorstores"))
    _connection: sqlite3.Connection | None = None
    _lock: int | None = None

    @property
    def exists(self) -> bool:
        """Whether anything has ever been kept here."""
        return (self.folder / FILE).exists()

    async def ask(
        self, question: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """What the question answers; raises what it raises, and InsufficientStorage, Unavailable, EngineFailed."""
        loop = asyncio.get_running_loop()
        asked = loop.run_in_executor(self._thread, lambda: self._answer(lambda db: question(db, *args, **kwargs)))
        return await asyncio.shield(asked)  # a transaction that has begun ends, whoever goes away

    async def close(self) -> None:
        """Once everything is written."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    def _answer(self, question: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection = self._opened()
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                return question(connection)
        except (sqlite3.Error, OSError) as error:
            raise InsufficientStorage(
                f"files and vector stores cannot be kept in {self.folder}: {error}; mend that, and try again"
            ) from error

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._take_lock()
            self._connection = open_database(self.folder / FILE)
        return self._connection

    def _take_lock(self) -> None:
        """Two servers would take in each other's files twice."""
        if self._lock is not None:
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise Unavailable(
                f"another server keeps the files and vector stores in {self.folder}; ask that one, or stop it",
                code="vector_stores_unavailable",
            ) from None
        self._lock = lock

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
