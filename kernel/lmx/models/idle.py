"""Unloads models that nobody has used for as long as they are kept alive, at the moment that is due."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from attrs import define, field

from lmx.config.schema import Memory
from lmx.models.resident import Resident
from lmx_hookspecs import EventsService, Logger, ModelState

Pause = Callable[[asyncio.Event, float], Awaitable[None]]
"""Waits for the event, but not longer than so many seconds."""


async def pause(woken: asyncio.Event, limit_s: float) -> None:
    """By the loop's own clock."""
    try:
        async with asyncio.timeout(limit_s):  # wait_for of Python 3.11 can lose a cancellation
            await woken.wait()
    except TimeoutError:
        return


@define(eq=False)
class IdleWatch:
    """Keep-alive: that of the load, else of the model's settings, else `memory.ttl_seconds` where that is enabled."""

    residents: Callable[[], Sequence[Resident]]
    evict: Callable[[Resident], "asyncio.Task[int]"]
    config: Callable[[], Memory]
    events: EventsService
    log: Logger
    pause: Pause = pause
    _woken: asyncio.Event = field(factory=asyncio.Event, init=False)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._woken.clear()
            self.sweep()
            await self.pause(self._woken, self.next_due_s())

    def wake(self) -> None:
        """Something has changed: look at once."""
        self._woken.set()

    def sweep(self) -> "Sequence[asyncio.Task[int]]":
        """Begin to unload all that is due now."""
        return [self._expire(resident, idle_s) for resident, idle_s in self._due()]

    def next_due_s(self) -> float:
        """Seconds until something may be due; a model in use cannot be before its whole time has passed from now."""
        soonest = [
            keep_alive_s - (resident.idle_s or 0.0)
            for resident in self.residents()
            if (keep_alive_s := self._keep_alive_s(resident)) > 0
        ]
        return max(0.0, min([*soonest, float(self.config().ttl_check_interval_sec)]))

    def _due(self) -> list[tuple[Resident, float]]:
        found = []
        for resident in self.residents():
            idle_s, keep_alive_s = resident.idle_s, self._keep_alive_s(resident)
            if resident.evictable and idle_s is not None and 0 < keep_alive_s <= idle_s:
                found.append((resident, idle_s))
        return found

    def _keep_alive_s(self, resident: Resident) -> float:
        """0 is for ever: pinned models, and those that are not there to be kept."""
        if resident.pinned or resident.state is not ModelState.READY:
            return 0.0
        if resident.keep_alive_s is not None:
            return resident.keep_alive_s
        config = self.config()
        return float(config.ttl_seconds) if config.ttl_enabled else 0.0

    def _expire(self, resident: Resident, idle_s: float) -> "asyncio.Task[int]":
        model_id = resident.info.id
        self.events.publish("model_ttl_evicted", {"model_id": model_id, "idle_seconds": round(idle_s, 3)})
        self.log.info("model_ttl_evicted", model=model_id, idle_s=round(idle_s, 3))
        return self.evict(resident)
