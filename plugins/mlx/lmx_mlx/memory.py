"""Memory of the device: Metal's limits and counters where there is Metal, the process's own size elsewhere."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import psutil
from attrs import define, field

from lmx_hookspecs.heap import trim_heap

GIB = 1024**3


@define(kw_only=True)
class Memory:
    """Sets the limits once, reads the counters, puts the limits back. `mx` is the module `mlx.core`."""

    mx: Any
    cache_limit_gb: float | None = None
    wall_clock: Callable[[], float] = time.time
    _previous_wired: int | None = field(default=None, init=False)
    _trims: int = field(default=0, init=False)
    _freed_bytes: int = field(default=0, init=False)
    _trimmed_at: float | None = field(default=None, init=False)

    def limit(self) -> None:
        """Let Metal wire as much as the device recommends, and bound what MLX keeps for reuse."""
        recommended = self.mx.device_info().get("max_recommended_working_set_size")
        if recommended is not None:
            self._previous_wired = self.mx.set_wired_limit(recommended)
        if self.cache_limit_gb is not None:
            self.mx.set_cache_limit(int(self.cache_limit_gb * GIB))

    def restore(self) -> None:
        """Put Metal's wired limit back."""
        if self._previous_wired is not None:
            self.mx.set_wired_limit(self._previous_wired)
            self._previous_wired = None

    def trim(self) -> int:
        """Give back what is kept for reuse: MLX's buffers, and on Linux the heap that the allocator holds on to.

        Returns the bytes that came back. On the CPU most are the allocator's: with glibc's, a worker with 111 MB of
        weights and a full prefix cache fell from 1,430 to 705 MB after a batch of long prompts, of which MLX's own
        buffers were 34.
        """
        before = self._kept_bytes()
        self.mx.clear_cache()
        trim_heap()
        self._trims += 1
        self._freed_bytes = max(0, before - self._kept_bytes())
        self._trimmed_at = self.wall_clock()
        return self._freed_bytes

    def trims(self) -> Mapping[str, float | None]:
        """How often it was trimmed, when last, and what that gave back."""
        return {"count": self._trims, "last_at": self._trimmed_at, "last_freed_bytes": self._freed_bytes}

    def used_bytes(self) -> int:
        """Bytes on the GPU where there is one, else the resident set of this process."""
        return int(self.mx.get_active_memory()) if self._on_gpu() else _resident_bytes()

    def reading(self) -> Mapping[str, int]:
        """Bytes now, for people."""
        reading = {"resident_bytes": _resident_bytes()}
        if self._on_gpu():
            reading["active_bytes"] = int(self.mx.get_active_memory())
            reading["peak_bytes"] = int(self.mx.get_peak_memory())
            reading["cache_bytes"] = int(self.mx.get_cache_memory())
        return reading

    def _kept_bytes(self) -> int:
        return int(self.mx.get_cache_memory()) if self._on_gpu() else _resident_bytes()

    def _on_gpu(self) -> bool:
        return bool(self.mx.default_device() == self.mx.gpu)


def _resident_bytes() -> int:
    return int(psutil.Process().memory_info().rss)
