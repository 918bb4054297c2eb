"""Memory pressure in percent: what the machine, and the control groups around this process, have in use.

Linux: the share of the machine's memory that is not available, and of each control group's limit what is in use besides
the file cache that would make way; the highest counts. macOS: `kern.memorystatus_level` is the share that its kernel
could still find, and a critical `kern.memorystatus_vm_pressure_level` is 100 %. The level `warning` counts for nothing,
since it outlasts the pressure by minutes.
"""

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from attrs import frozen

from lmx_hookspecs import Health
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


@frozen(kw_only=True)
class ControlGroup:
    """One level of the memory controller's tree on Linux."""

    folder: Path
    limit_file: str
    usage_file: str
    cache_field: str
    """The line of `memory.stat` with the file cache that is given up first."""

    def used_percent(self) -> float:
        """Of its limit; 0 where it sets none."""
        limit, used = _number(self.folder / self.limit_file), _number(self.folder / self.usage_file)
        if not limit or used is None:
            return 0.0
        return FULL_PERCENT * max(0, used - self._cache_bytes()) / limit

    def _cache_bytes(self) -> int:
        fields = (line.split() for line in _text(self.folder / "memory.stat").splitlines())
        return next((int(pair[1]) for pair in fields if len(pair) == 2 and pair[0] == self.cache_field), 0)


def control_groups(
    membership: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")
) -> Sequence[ControlGroup]:
    """The groups that this process is in, of both versions; in version 1, no limit is one beyond all memory."""
    return [group for line in _text(membership).splitlines() for group in _levels(line, root)]


def _levels(line: str, root: Path) -> Iterator[ControlGroup]:
    _, controllers, path = line.split(":", 2)
    if controllers == "":
        base, files = root, ("memory.max", "memory.current", "inactive_file")
    elif "memory" in controllers.split(","):
        base, files = root / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    else:
        return
    # A container may see the host's path, of which only the end, or nothing, is mounted: missing files say nothing.
    parts = [part for part in PurePosixPath(path).parts if part not in {"/", ".."}]
    for depth in range(len(parts), -1, -1):
        yield ControlGroup(
            folder=base.joinpath(*parts[:depth]), limit_file=files[0], usage_file=files[1], cache_field=files[2]
        )


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


def _number(path: Path) -> int | None:
    try:
        return int(_text(path))
    except ValueError:
        return None  # there is no such file, or it says `max`


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
