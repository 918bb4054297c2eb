"""When an engine that died may be started again: growing pauses, then quarantine."""

from collections import deque
from collections.abc import Callable

from attrs import define, field


@define(eq=False)
class Deaths:
    """The deaths of one model's engines, in a load or after it, within a sliding window of `window_s`."""

    _clock: Callable[[], float]
    _window_s: float
    _quarantine_after: int
    _pause_s: float
    _max_pause_s: float
    _at_s: deque[float] = field(factory=deque, init=False)
    total: int = field(default=0, init=False)

    def record(self) -> None:
        """An engine died, or did not come to life, just now."""
        self.total += 1
        self._at_s.append(self._clock())

    @property
    def recent(self) -> int:
        """Deaths that still count."""
        while self._at_s and self._at_s[0] <= self._clock() - self._window_s:
            self._at_s.popleft()
        return len(self._at_s)

    @property
    def too_many(self) -> bool:
        """Whether the model belongs in quarantine."""
        return self.recent >= self._quarantine_after

    @property
    def pause_s(self) -> float:
        """The pause before the next start: doubled for each recent death but the first."""
        return float(min(self._max_pause_s, self._pause_s * 2 ** min(max(0, self.recent - 1), 32)))
