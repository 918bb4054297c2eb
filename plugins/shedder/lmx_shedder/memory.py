"""Memory pressure in percent: what the machine, and the control groups around this process, have in use.

Linux: the share of the machine's memory that is not available, and of each control group's limit what is in use besides
the file cache that would make way; the highest counts. macOS: `kern.memorystatus_level` is the share that its kernel
could still find, and a critical `kern.memorystatus_vm_pressure_level` is 100 %. The level `warning` counts for nothing,
since it outlasts the pressure by minutes.
"""

import asyncio
import sys
from collections.abc import Callable

from lmx_hookspecs import Health
from lmx_hookspecs.control_groups import control_groups
from lmx_shedder.config import ShedderConfig

ReadPercent = Callable[[], float]
"""Asks the system, which takes a moment."""
Sysctl = Callable[[str], int | None]
FULL_PERCENT = 100.0
CRITICAL = 4
FREE_SHARE, PRESSURE_LEVEL = "kern.memorystatus_level", "kern.memorystatus_vm_pressure_level"


def memory_reader(platform: str = sys.platform) -> ReadPercent:
    """How memory pressure is read on this system."""
    if platform == "darwin":
        return lambda: mac_percent(_sysctl, _machine_percent)
    groups = control_groups()
    return lambda: max([_machine_percent(), *(group.used_percent() for group in groups)])


def read_once() -> float:
    """Memory pressure, for who asks only once."""
    return memory_reader()()


async def check_memory(config: ShedderConfig, read: ReadPercent) -> Health:
    """Whether memory pressure is below the bound from which on work is refused."""
    percent = await asyncio.to_thread(read)
    bound = config.shed_above_percent
    if percent < bound:
        return Health(ok=True, detail=f"{percent:.0f} % of the memory is in use; work is refused from {bound:g} % on")
    return Health(
        ok=False,
        detail=f"{percent:.0f} % of the memory is in use, and from {bound:g} % on work is refused: unload a model, or "
        "stop other programs",
    )


def mac_percent(sysctl: Sysctl, machine_percent: ReadPercent) -> float:
    """What macOS says; `machine_percent` is asked where it does not."""
    if sysctl(PRESSURE_LEVEL) == CRITICAL:
        return FULL_PERCENT
    free = sysctl(FREE_SHARE)
    return machine_percent() if free is None else FULL_PERCENT - free


def _machine_percent() -> float:
    import psutil

    memory = psutil.virtual_memory()
    return FULL_PERCENT * (memory.total - memory.available) / memory.total


def _sysctl(name: str) -> int | None:
    """A number of the kernel of macOS; None where it does not know the name."""
    import ctypes

    value = ctypes.c_int()
    size = ctypes.c_size_t(ctypes.sizeof(value))
    system = ctypes.CDLL(None)
    failed = system.sysctlbyname(name.encode(), ctypes.byref(value), ctypes.byref(size), None, ctypes.c_size_t(0))
    return None if failed else value.value
