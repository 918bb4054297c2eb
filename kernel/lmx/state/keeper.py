"""Writes the state to disk, off the event loop, and lives with a disk that refuses."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from attrs import define, field

from lmx.private_files import FileLock, replace_private
from lmx.state.files import LOCK, STATE
from lmx_hookspecs import Logger

RETRY_S = 30.0


async def kept_nowhere() -> None:
    """Where nothing is kept, there is nothing to wait for."""


@define(eq=False)
class Keeper:
    """One write at a time, in a thread; whatever changes during a write is one more write after it."""

    folder: Path
    log: Logger
    newest: Callable[[], bytes]
    """What is to be on disk; called when a write begins."""
    problem: str | None = None
    """Why the disk is behind."""
    lock: FileLock = field(init=False)
    _behind: bool = False
    _writing: "asyncio.Task[None] | None" = None
    _retry: asyncio.TimerHandle | None = None

    @lock.default
    def _its_lock(self) -> FileLock:
        return FileLock(self.folder / LOCK)

    def changed(self) -> None:
        """Write soon."""
        self._behind = True
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write(), name="write the state")

    async def flush(self, within_s: float | None = None) -> None:
        """Return once everything is on disk, or the disk has refused it, or `within_s` are over."""
        if self._behind:
            self.changed()
        if self._writing is None:
            return
        _, late = await asyncio.wait([self._writing], timeout=within_s)
        if late:
            self.log.warning("state_is_late", folder=str(self.folder), waited_s=within_s)

    async def close(self) -> None:
        """Write what is left, and let another server have the folder."""
        await self.flush()
        if self._retry is not None:
            self._retry.cancel()
        self.lock.release()

    def write_now(self, data: bytes) -> None:
        """Write in this thread."""
        problem = self._refusal(data)
        if problem == self.problem:
            return
        self.problem = problem
        if problem is None:
            self.log.info("state_kept_again", folder=str(self.folder))
        else:
            advice = "make room there, or mend its permissions: until then a crash forgets what is loaded"
            self.log.warning("state_not_kept", folder=str(self.folder), reason=problem, advice=advice)

    def retry_later(self) -> None:
        """Write again in a while, in case nothing changes before."""
        self._behind = True
        if self._retry is not None:
            self._retry.cancel()
        self._retry = asyncio.get_running_loop().call_later(RETRY_S, self.changed)

    def _refusal(self, data: bytes) -> str | None:
        """Write, and say what kept us from it."""
        try:
            if not self.lock.take():
                return f"another server (pid {self.lock.holder()}) keeps its state there"
            replace_private(self.folder / STATE, data)
        except OSError as error:
            return error.strerror or str(error)
        return None

    async def _write(self) -> None:
        while self._behind:
            self._behind = False
            await asyncio.to_thread(self.write_now, self.newest())
            if self.problem is not None:
                self.retry_later()
                return
