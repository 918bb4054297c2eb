"""The token bucket: what is not used is saved up, to a bound. Plain values; the time is the caller's."""

from math import ceil, floor
from typing import Self

from attrs import define, field, frozen

ROUNDING = 1e-9
"""Seconds times units a second is not exact: whoever waited as long as told finds a whole unit."""


@frozen
class Limit:
    """So many units a second, of which up to `burst` may be used at once."""

    per_s: float
    burst: float
    quota: int = field(init=False)
    """Units that may be used within `window_s` from a full bucket on."""
    window_s: int = field(init=False)
    """How long an empty bucket takes to fill."""

    @quota.default
    def _whole_units(self) -> int:
        return floor(self.burst)

    @window_s.default
    def _until_full(self) -> int:
        return ceil(self.burst / self.per_s - ROUNDING)

    @classmethod
    def of(cls, per_minute: int, burst_s: float) -> Self:
        """What comes in a minute, and as much at once as comes in `burst_s`, but at least one."""
        per_s = per_minute / 60
        return cls(per_s, max(1.0, per_s * burst_s))


@define(eq=False)
class Bucket:
    """Full at first. It may be overdrawn: then it has to fill up from below."""

    limit: Limit
    _as_of_s: float
    _level: float = field(init=False)

    @_level.default
    def _full(self) -> float:
        return self.limit.burst

    def level(self, now_s: float) -> float:
        """Units in it; below zero, units that are owed."""
        return min(self.limit.burst, self._level + max(0.0, now_s - self._as_of_s) * self.limit.per_s)

    def take(self, units: float, now_s: float) -> None:
        """Use so many units, whether they are there or not."""
        self._level = self.level(now_s) - units
        self._as_of_s = max(now_s, self._as_of_s)

    def wait_s(self, now_s: float) -> float:
        """Until there is a whole unit; 0 where there is."""
        missing = 1 - self.level(now_s)
        return missing / self.limit.per_s if missing > ROUNDING else 0.0

    def full_in_s(self, now_s: float) -> float:
        """Until it is full again."""
        return (self.limit.burst - self.level(now_s)) / self.limit.per_s

    def refit(self, limit: Limit, now_s: float) -> None:
        """Another limit from now on; what is there stays, as far as there is room."""
        self.take(0, now_s)
        self.limit, self._level = limit, min(self._level, limit.burst)
