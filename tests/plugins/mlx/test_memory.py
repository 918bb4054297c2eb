import sys
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
    kept: int = 300

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
        return self.kept

    def clear_cache(self) -> None:
        self.kept = 0


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


def test_a_trim_empties_the_cache_of_the_gpu_and_is_counted() -> None:
    memory = Memory(mx=Device(), wall_clock=lambda: 7.0)

    never = dict(memory.trims())
    freed = [memory.trim(), memory.trim()]

    assert never == {"count": 0, "last_at": None, "last_freed_bytes": 0}
    assert freed == [300, 0]
    assert memory.trims() == {"count": 2, "last_at": 7.0, "last_freed_bytes": 0}


def test_on_the_cpu_a_trim_gives_freed_heap_back_to_the_system() -> None:
    memory = Memory(mx=Device(device="cpu", facts={}))
    memory.trim()
    blocks = [bytearray(60_000) for _ in range(1_000)]
    del blocks[:-1]  # glibc keeps what is freed below a block that is still in use

    freed_bytes = memory.trim()

    assert freed_bytes > 30_000_000 or sys.platform != "linux"
