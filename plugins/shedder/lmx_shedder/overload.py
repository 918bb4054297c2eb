"""Whether the server has too much to do: two signals with hysteresis. Plain values, no clock, no asyncio."""

from enum import StrEnum

from attrs import define, field

from lmx_shedder.config import ShedderConfig

SMOOTHING = 0.3
"""Weight of the newest delay in the running mean."""
MOST_COUNTED = 2.0
"""Times the largest tolerated delay that one delay counts for: one hiccup of the loop is no overload, two may be."""
RESUME_SHARE = 0.5
"""Of the largest tolerated delay."""


class Reason(StrEnum):
    """Why work is refused."""

    MEMORY = "memory"
    EVENT_LOOP = "event_loop"


@define
class Alarm:
    """Goes off at one value, and only stops below a lower one."""

    start_at: float
    stop_below: float
    on: bool = False

    def see(self, value: float) -> None:
        """Take a new value in."""
        self.on = value >= (self.stop_below if self.on else self.start_at)


@define
class Overload:
    """The latest readings, and what they mean."""

    config: ShedderConfig
    memory_percent: float | None = None
    """None while it is not known."""
    loop_lag_s: float = 0.0
    """A running mean."""
    _memory: Alarm = field(init=False)
    _loop: Alarm = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._memory, self._loop = _alarms(self.config)

    @property
    def reason(self) -> Reason | None:
        """Why work is refused now; None while it is not."""
        if self._memory.on:
            return Reason.MEMORY
        return Reason.EVENT_LOOP if self._loop.on else None

    def see_memory(self, percent: float) -> None:
        """Memory was read."""
        self.memory_percent = percent
        self._memory.see(percent)

    def lose_memory(self) -> None:
        """Memory cannot be read any more: the latest reading says nothing about now."""
        self.memory_percent, self._memory.on = None, False

    def see_lag(self, lag_s: float) -> None:
        """A callback of the loop came so much too late."""
        counted_s = min(lag_s, MOST_COUNTED * self._loop.start_at)
        self.loop_lag_s += SMOOTHING * (counted_s - self.loop_lag_s)
        self._loop.see(self.loop_lag_s)

    def reconfigure(self, config: ShedderConfig) -> None:
        """Judge the latest readings anew; what is on goes on until the new lower bound."""
        memory_on, loop_on = self._memory.on, self._loop.on
        self.config = config
        self._memory, self._loop = _alarms(config)
        self._memory.on, self._loop.on = memory_on, loop_on
        if self.memory_percent is not None:
            self._memory.see(self.memory_percent)
        self._loop.see(self.loop_lag_s)


def _alarms(config: ShedderConfig) -> tuple[Alarm, Alarm]:
    max_lag_s = config.max_loop_lag_ms / 1000
    return (
        Alarm(config.shed_above_percent, config.resume_below_percent),
        Alarm(max_lag_s, max_lag_s * RESUME_SHARE),
    )
