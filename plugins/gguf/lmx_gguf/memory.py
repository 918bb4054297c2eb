"""Memory of the worker, as the system and the devices count it."""

import time
from collections.abc import Callable, Mapping

import psutil
from attrs import define, field

from lmx_hookspecs.heap import trim_heap


@define(kw_only=True)
class Memory:
    """Reads what this process takes, and gives back what is only kept for reuse."""

    device_bytes: int = 0
    """What the load took of GPUs with memory of their own."""
    wall_clock: Callable[[], float] = time.time
    _trims: int = field(default=0, init=False)
    _freed_bytes: int = field(default=0, init=False)
    _trimmed_at: float | None = field(default=None, init=False)

    def used_bytes(self) -> int:
        """The resident set of this process, mapped weights among it, and what lies on devices."""
        return resident_bytes() + self.device_bytes

    def trim(self) -> int:
        """Give the heap that the allocator holds on to back to the system; returns the bytes."""
        before = resident_bytes()
        trim_heap()
        self._trims += 1
        self._freed_bytes = max(0, before - resident_bytes())
        self._trimmed_at = self.wall_clock()
        return self._freed_bytes

    def trims(self) -> Mapping[str, float | None]:
        """How often it was trimmed, when last, and what that gave back."""
        return {"count": self._trims, "last_at": self._trimmed_at, "last_freed_bytes": self._freed_bytes}

    def reading(self) -> Mapping[str, int]:
        """Bytes now, for people."""
        return {"resident_bytes": resident_bytes(), "device_bytes": self.device_bytes}


def resident_bytes() -> int:
    """Of this process."""
    return int(psutil.Process().memory_info().rss)
