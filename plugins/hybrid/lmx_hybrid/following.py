"""What goes on between requests: indexes follow the database, settle, and are written down."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import Executor
from typing import Any, TypeVar

from attrs import define, field

from lmx_hookspecs.context import Logger
from lmx_hybrid.collection import Live
from lmx_hybrid.database import Database
from lmx_hybrid.fusion import VECTOR
from lmx_hybrid.positions import Position
from lmx_hybrid.removals import prune

T = TypeVar("T")


@define(eq=False, kw_only=True)
class Follower:
    """Has the legs do their work, in threads, a slice at a time: no collection waits for all of another's."""

    database: Database
    indexers: Executor
    """What goes on in the background."""
    urgent: Executor
    """What a search waits for."""
    writer: Executor
    log: Logger
    commit_interval_s: float
    checkpoint_interval_s: float
    checkpointed_at: float | None = field(default=None, init=False)
    """Unix time in seconds."""
    _tasks: set[asyncio.Task[None]] = field(factory=set, init=False)

    def start(self, known: Mapping[str, Live]) -> None:
        """Read the indexes of the collections that there are, then write down every so often what has changed."""
        self._begin(self._warm(list(known.values())))
        self._begin(self._checkpoint_for_ever(known))

    async def follow(self, live: Live, names: Iterable[str]) -> None:
        """Return once these legs can find all that is committed by now."""
        target = live.committed
        await asyncio.gather(*(self._follow_now(live, name, target) for name in names))

    def follow_soon(self, live: Live) -> None:
        """So that the next search finds no work left to do."""
        if live.following is None or live.following.done():
            live.following = self._begin(self._follow_later(live))

    async def checkpoint(self, live: Live) -> None:
        """Write down what a start would have to do again."""
        marks = [live.legs[VECTOR].position]
        for leg in live.legs.values():
            mark = await self._in(self.indexers, lambda leg=leg: leg.checkpoint(self.database.flush))  # type: ignore[misc]
            marks += [mark] if mark is not None else []
        known = min(mark.deletion for mark in marks)
        if known > live.pruned:
            while await self._in(self.writer, lambda: self._prune(live, known)):
                pass
            live.pruned = known
        self.checkpointed_at = time.time()

    async def close(self, known: Iterable[Live]) -> None:
        """Stop; what is indexed by now is written down."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for live in known:
            await self._guarded(self.checkpoint(live), live)
            for leg in live.legs.values():
                await self._in(self.indexers, leg.close)

    def _prune(self, live: Live, known: int) -> bool:
        """Forget some deletions that all indexes on disk have seen; returns whether there may be more."""
        with self.database.writing() as connection:
            return prune(connection, live.id, known)

    async def _follow_now(self, live: Live, name: str, target: Position) -> None:
        """Searches that wait for one leg keep one thread: another collection finds the other one free."""
        if not live.legs[name].position.reaches(target):
            async with live.turns[name]:
                await self._follow(live, name, target, self.urgent)

    async def _follow(self, live: Live, name: str, target: Position, executor: Executor) -> None:
        """Nobody has a turn while it waits for a thread: the leg has one step at a time."""
        leg = live.legs[name]
        while not leg.position.reaches(target) and not live.dropped:
            await self._in(executor, lambda: leg.step(target))

    async def _follow_later(self, live: Live) -> None:
        await asyncio.sleep(self.commit_interval_s)
        await self._guarded(self._settle(live), live)

    async def _settle(self, live: Live) -> None:
        """Until there is nothing left to do; what is new goes first."""
        while not live.dropped:
            target = live.committed
            await asyncio.gather(*(self._follow(live, name, target, self.indexers) for name in live.legs))
            unsettled = [leg for leg in live.legs.values() if leg.settling]
            if not unsettled and live.followed:
                return
            for leg in unsettled:
                await self._in(self.indexers, leg.settle)

    async def _warm(self, known: Iterable[Live]) -> None:
        for live in known:
            await self._guarded(self._settle(live), live)

    async def _checkpoint_for_ever(self, known: Mapping[str, Live]) -> None:
        while True:
            await asyncio.sleep(self.checkpoint_interval_s)
            for live in list(known.values()):
                if live.touched:
                    await self._guarded(self.checkpoint(live), live)

    async def _guarded(self, work: Coroutine[Any, Any, None], live: Live) -> None:
        try:
            await work
        except Exception as error:  # what is stored is safe; the next search tries again, and tells its caller
            if live.dropped:
                return
            self.log.error("indexing_failed", collection=live.name, error=repr(error))

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _in(self, executor: Executor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(executor, work)
