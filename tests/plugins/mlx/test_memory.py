from collections.abc import Mapping
from typing import Any

from attrs import define, field

from lmx_mlx.memory import GIB, Memory


@define
class Device:
    """The few system calls of `mlx.core` that differ between machines."""

    gpu: str = "gpu"
    device: str = "gpu"
    facts: Mapping[str, Any] = field(factory=lambda: {"max_recommended_working_set_size": 20 * GIB})
    wired: int = 5
    cache: int | None = None

    def default_device(self) -> str:
        return self.device

    def device_info(self) -> Mapping[str, Any]:
        return self.facts

    def set_wired_limit(self, limit: int) -> int:
        self.wired, previous = limit, self.wired
        return previous

    def set_cache_limit(self, limit: int) -> None:
        self.cache = limit

    def get_active_memory(self) -> int:
        return 100

    def get_peak_memory(self) -> int:
        return 200

    def get_cache_memory(self) -> int:
        return 300


def test_metal_gets_its_limits_and_gets_them_back() -> None:
    device = Device()
    memory = Memory(mx=device, cache_limit_gb=0.5)

    memory.limit()
    during = device.wired
    memory.restore()
    memory.restore()

    assert (during, device.wired, device.cache) == (20 * GIB, 5, GIB // 2)


def test_metal_counts_what_the_gpu_holds() -> None:
    memory = Memory(mx=Device())

    assert memory.used_bytes() == 100
    assert {"active_bytes": 100, "peak_bytes": 200, "cache_bytes": 300}.items() <= memory.reading().items()


def test_without_a_gpu_the_process_is_measured_and_nothing_limited() -> None:
    device = Device(device="cpu", facts={})
    memory = Memory(mx=device)

    memory.limit()

    assert (device.wired, device.cache) == (5, None)
    assert memory.used_bytes() > 10_000_000
    assert set(memory.reading()) == {"resident_bytes"}
