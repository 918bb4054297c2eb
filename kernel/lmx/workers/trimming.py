"""When an idle engine is due to be trimmed: once after each stretch of work."""

import time
from collections.abc import Callable

from attrs import define, field

IDLE_BEFORE_TRIM_S = 10.0
"""Most clients that have more to ask have asked by then."""


@define(eq=False)
class TrimTimer:
    """Counts from the last step; each stretch of work is followed by one trim."""

    _pause_s: float = IDLE_BEFORE_TRIM_S
    _clock: Callable[[], float] = time.monotonic
    _due_s: float | None = field(default=None, init=False)

    def worked(self) -> None:
        """The engine has done something: count again from now."""
        self._due_s = self._clock() + self._pause_s

    def wait_s(self) -> float | None:
        """How long until it is due, 0 when it is; None when nothing has been done since the last trim."""
        return None if self._due_s is None else max(0.0, self._due_s - self._clock())

    def trimmed(self) -> None:
        """It has been trimmed."""
        self._due_s = None
