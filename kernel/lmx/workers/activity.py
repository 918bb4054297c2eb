"""What a worker is at: written by the threads that work, read by the one that beats."""

import time
from collections.abc import Callable

from attrs import define, field


@define(eq=False)
class Activity:
    """The requests a worker holds, and since when each of its stages has been at one piece of work."""

    _clock: Callable[[], float] = time.monotonic
    live: set[int] = field(factory=set, init=False)
    """Ids that were asked for and neither ended nor cancelled."""
    _began_s: dict[str, float] = field(factory=dict, init=False)

    def begin(self, stage: str) -> None:
        """A stage starts on its next piece of work."""
        self._began_s[stage] = self._clock()

    def end(self, stage: str) -> None:
        """A stage is done."""
        self._began_s.pop(stage, None)

    def age_s(self) -> float:
        """How long the oldest piece of work has taken so far; 0 when nothing is being done."""
        began_s = list(self._began_s.values())  # in one go: other threads write
        return self._clock() - min(began_s) if began_s else 0.0
