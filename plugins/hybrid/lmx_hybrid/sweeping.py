"""Removes what is to be removed, and gives its space back to the disk: in the background, a little at a time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from typing import TypeVar

from attrs import define, field

from lmx_hookspecs.context import Logger
from lmx_hybrid.database import Database
from lmx_hybrid.removals import sweep
from lmx_hybrid.reserve import Reserve

T = TypeVar("T")


@define(eq=False, kw_only=True)
class Sweeper:
    """Between any two of its steps, whoever waits for the writer gets a turn."""

    database: Database
    writer: Executor
    housekeeper: Executor
    reserve: Reserve
    log: Logger
    interval_s: float
    restoring: set[int] = field(factory=set, init=False)
    """Collections that are hidden, and not to be removed."""
    _wanted: asyncio.Event = field(factory=asyncio.Event, init=False)
    _task: asyncio.Task[None] | None = field(default=None, init=False)

    def start(self) -> None:
        """Go on with what was not removed when the store was closed."""
        self._wanted.set()
        self._task = asyncio.get_running_loop().create_task(self._for_ever())

    def soon(self) -> None:
        """There is something to remove."""
        self._wanted.set()

    async def sweep(self) -> None:
        """Remove all that is to be removed."""
        while await self._in(self.writer, lambda: self.reserve.freeing(self._sweep, self.database.truncate)):
            pass

    async def shrink(self) -> None:
        """Give all space that is free back to the disk."""
        while await self._in(self.writer, lambda: self.reserve.freeing(self.database.shrink, self.database.truncate)):
            await self._in(self.housekeeper, self.database.backfill)
        await self._in(self.housekeeper, self.database.backfill)
        await self._in(self.writer, self.database.truncate)
        await self._in(self.writer, self.reserve.make)

    async def close(self) -> None:
        """What is not removed then is with the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _sweep(self) -> bool:
        with self.database.writing() as connection:
            return sweep(connection, self.restoring)

    async def _for_ever(self) -> None:
        while True:
            woken = False
            with suppress(TimeoutError):
                async with asyncio.timeout(self.interval_s):
                    woken = await self._wanted.wait()
            self._wanted.clear()
            try:
                await self.sweep()
                if not woken or not self.reserve.held:
                    await self.shrink()
            except Exception as error:  # it is tried again after the pause; what is gone is not found meanwhile
                self.log.error("space_not_freed", error=repr(error))

    async def _in(self, executor: Executor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(executor, work)
