"""Reads memory, and measures how late the event loop is, for as long as requests come."""

import asyncio
from collections.abc import Callable

from attrs import define

from lmx_hookspecs import Logger
from lmx_shedder.memory import ReadPercent

PERIOD_S = 0.5
IDLE_PERIODS = 20
"""So many periods without a request, and nobody looks any more: a server that ends leaves nothing behind."""
STALE_PERIODS = 10
"""After so many periods the latest reading says nothing about now: reading fails, or hangs."""
PATIENCE_S = 0.25
"""How long a request waits for the first reading."""


@define(eq=False)
class Watch:
    """Asleep until `wake`; then `see_memory` hears of every reading, in percent, and `see_lag` of every delay.

    `see_memory` hears None once there has been no reading for `STALE_PERIODS`.
    """

    read: ReadPercent
    see_memory: Callable[[float | None], None]
    see_lag: Callable[[float], None]
    fell_asleep: Callable[[], None]
    log: Logger
    period_s: float = PERIOD_S
    asked: bool = False
    """Set by every request."""
    awake: bool = False
    fresh: bool = False
    """Memory was read since it woke."""
    _idle_periods: int = 0
    _unread_periods: int = 0
    """Since the latest reading."""
    _due_s: float = 0.0
    _reading: "asyncio.Future[float] | None" = None
    _failed: bool = False

    def wake(self) -> None:
        """Look from now on."""
        if not self.awake:
            self.awake, self.fresh, self._idle_periods, self._unread_periods = True, False, 0, 0
            loop = asyncio.get_running_loop()
            self._begin_reading(loop)
            self._schedule(loop)

    async def first_reading(self) -> None:
        """Wait for the reading in progress, but not for long: threads may be hard to come by."""
        if self._reading is not None:
            await asyncio.wait([self._reading], timeout=PATIENCE_S)

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due_s = loop.time() + self.period_s
        loop.call_at(self._due_s, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self.see_lag(max(0.0, loop.time() - self._due_s))
        self._idle_periods = 0 if self.asked else self._idle_periods + 1
        self.asked = False
        if self._idle_periods >= IDLE_PERIODS:
            self.awake = False
            self.fell_asleep()
            return
        self._unread_periods += 1
        if self._unread_periods == STALE_PERIODS:
            self.log.error("memory_unknown", since_s=STALE_PERIODS * self.period_s)
            self.see_memory(None)
        self._begin_reading(loop)
        self._schedule(loop)

    def _begin_reading(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._reading is None:
            self._reading = loop.run_in_executor(None, self.read)
            self._reading.add_done_callback(self._was_read)

    def _was_read(self, reading: "asyncio.Future[float]") -> None:
        self._reading = None
        if reading.cancelled():
            return
        self.fresh = True
        error = reading.exception()
        if error is None:
            self._failed, self._unread_periods = False, 0
            self.see_memory(reading.result())
        elif not self._failed:
            self._failed = True  # it will fail again in a moment, and has nothing more to say then
            self.log.error("memory_not_read", exc_info=error)
