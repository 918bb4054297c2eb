"""Memory of the device: Metal's limits and counters where there is Metal, the process's own size elsewhere."""

from collections.abc import Mapping
from typing import Any

import psutil
from attrs import define

GIB = 1024**3


@define(kw_only=True)
class Memory:
    """Sets the limits once, reads the counters, puts the limits back. `mx` is the module `mlx.core`."""

    mx: Any
    cache_limit_gb: float | None = None
    _previous_wired: int | None = None

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

    def _on_gpu(self) -> bool:
        return bool(self.mx.default_device() == self.mx.gpu)


def _resident_bytes() -> int:
    return int(psutil.Process().memory_info().rss)
