"""Watches the loop that a text-level engine has beside ours: whether it moves, and whether it still lives."""

import asyncio

from attrs import define

from lmx.workers.activity import Activity
from lmx_hookspecs.engines import LoopingEngine, TextEngine
from lmx_hookspecs.errors import EngineFailed

LOOK_INTERVAL_S = 1.0


@define(eq=False)
class LoopWatch:
    """Of one engine; an engine without a loop of its own gives nothing to see."""

    _engine: TextEngine
    _activity: Activity
    _stage: str
    look_interval_s: float = LOOK_INTERVAL_S

    async def until(self, stopping: asyncio.Event) -> None:
        """Watch until `stopping` is set; raises EngineFailed where the engine dies before."""
        if not isinstance(self._engine, LoopingEngine):
            await stopping.wait()
            return
        stopped = asyncio.create_task(stopping.wait())
        died = asyncio.create_task(self._engine.death())
        moving = asyncio.create_task(self._follow_steps(self._engine))
        try:
            await asyncio.wait([stopped, died, moving], return_when=asyncio.FIRST_COMPLETED)
            if moving.done():
                moving.result()
            if died.done():
                raise EngineFailed(died.result())
        finally:
            for task in (stopped, died, moving):
                task.cancel()

    async def _follow_steps(self, engine: LoopingEngine) -> None:
        """A long prompt gives no piece for minutes: while the engine steps it is not wedged."""
        seen = engine.steps()
        while True:
            await asyncio.sleep(self.look_interval_s)
            if engine.steps() != seen and self._activity.live:
                self._activity.begin(self._stage)
            seen = engine.steps()
