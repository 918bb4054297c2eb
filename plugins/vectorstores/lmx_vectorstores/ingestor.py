"""Takes files into their stores in the background. The database is the queue, so that a restart loses nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from attrs import define, field

from lmx_hookspecs import LmxError, Logger
from lmx_vectorstores.ledger import Ledger
from lmx_vectorstores.members_table import next_member
from lmx_vectorstores.paging import Row

TROUBLE_S = 30.0
"""So long the queue is left alone after the database could not be read."""


@define(eq=False)
class Ingestor:
    """So many files at once, the one that has waited longest first."""

    ledger: Ledger
    take_in: Callable[[Row], Awaitable[None]]
    """Takes one in, and writes down what became of it."""
    concurrency: int
    log: Logger
    _running: dict[int, "asyncio.Task[None]"] = field(factory=dict)
    _news: asyncio.Event = field(factory=asyncio.Event)
    _task: "asyncio.Task[None] | None" = None
    _is_down: bool = False

    def wake(self) -> None:
        """There may be something to do."""
        self._news.set()
        if self._task is None and not self._is_down:
            self._task = asyncio.create_task(self._run(), name="ingest files")

    async def stop(self, members: Iterable[int]) -> None:
        """Let go of those; returns once nothing more is done for them."""
        tasks = [self._running[seq] for seq in members if seq in self._running]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def lay_down(self) -> None:
        """Leave everything where it is: the next server takes it up again."""
        self._is_down = True
        for task in [*self._running.values(), *([self._task] if self._task else [])]:
            task.cancel()

    async def close(self) -> None:
        """The same, and wait until all has ended."""
        self.lay_down()
        if self._task is not None:
            await asyncio.wait([self._task])
        await self.stop(list(self._running))

    @property
    def running(self) -> int:
        """How many files are being taken in."""
        return len(self._running)

    async def _run(self) -> None:
        while True:
            self._news.clear()
            try:
                await self._fill()
                await self._news.wait()
            except LmxError as error:
                self.log.error("ingestion_stalled", reason=error.message, next=f"tried again in {TROUBLE_S:.0f} s")
                await asyncio.sleep(TROUBLE_S)

    async def _fill(self) -> None:
        while len(self._running) < self.concurrency:
            member = await self.ledger.ask(next_member, list(self._running))
            if member is None:
                return
            seq = member["seq"]
            task = asyncio.create_task(self._one(member), name=f"ingest {member['file_id']}")
            self._running[seq] = task
            task.add_done_callback(partial(self._done, seq))

    async def _one(self, member: Row) -> None:
        try:
            await self.take_in(member)
        except Exception as error:  # the boundary of a background task: its end must not end the queue
            self.log.error("ingestion_lost", file=member["file_id"], store=member["store_id"], exc_info=error)
            await asyncio.sleep(TROUBLE_S)

    def _done(self, seq: int, _: "asyncio.Task[None]") -> None:
        self._running.pop(seq, None)
        self._news.set()
