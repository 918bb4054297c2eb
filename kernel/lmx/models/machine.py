"""What this machine, and the control groups that the process may not leave, have of memory."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol

from attrs import field, frozen

MIB = 2**20
SYSCTL_LIMIT_S = 5.0


class VirtualMemory(Protocol):
    """What psutil reads."""

    @property
    def total(self) -> int:
        """Bytes of the machine."""

    @property
    def available(self) -> int:
        """Bytes to be had without swapping.

        On macOS psutil adds up the free and the inactive pages, which is low rather than high: what other programs
        could give up is left out.
        """


@frozen(kw_only=True)
class ControlGroup:
    """One level of the memory controller's tree on Linux."""

    folder: Path
    limit_file: str
    usage_file: str
    cache_field: str
    """The line of `memory.stat` with the file cache that is given up first."""

    def limit_bytes(self) -> int | None:
        """None where it sets no limit."""
        return _number(self.folder / self.limit_file)

    def available_bytes(self) -> int | None:
        """What is left below its limit, with the cache that would make way; None where it sets none."""
        limit, used = self.limit_bytes(), _number(self.folder / self.usage_file)
        if limit is None or used is None:
            return None
        return max(0, limit - used + self._cache_bytes())

    def _cache_bytes(self) -> int:
        fields = (line.split() for line in _text(self.folder / "memory.stat").splitlines())
        return next((int(pair[1]) for pair in fields if len(pair) == 2 and pair[0] == self.cache_field), 0)


def control_groups(
    membership: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")
) -> Sequence[ControlGroup]:
    """The groups that this process is in, innermost first, of both versions; none but on Linux."""
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


def wired_limit_bytes(ask: "Callable[[], str] | None" = None) -> int:
    """What macOS lets the GPU wire where somebody has set it (`iogpu.wired_limit_mb`), else 0."""
    if ask is None:
        if sys.platform != "darwin":
            return 0
        ask = _sysctl
    try:
        return int(ask()) * MIB
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0  # an older macOS does not know the name


def _sysctl() -> str:
    command = ["/usr/sbin/sysctl", "-n", "iogpu.wired_limit_mb"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=SYSCTL_LIMIT_S).stdout


def _virtual_memory() -> VirtualMemory:
    import psutil

    return psutil.virtual_memory()


@frozen(kw_only=True)
class Machine:
    """The memory there is; what does not change while we run is looked up when this is made."""

    virtual_memory: Callable[[], VirtualMemory] = _virtual_memory
    groups: Sequence[ControlGroup] = field(factory=control_groups)
    gpu_limit_bytes: int = field(factory=wired_limit_bytes)
    """0 where nobody has set one."""

    def total_bytes(self) -> int:
        """The physical memory, or what the control groups leave of it."""
        limits = [limit for group in self.groups if (limit := group.limit_bytes()) is not None]
        return min([self.virtual_memory().total, *limits])

    def available_bytes(self) -> int:
        """What could be had now without swapping."""
        left = [available for group in self.groups if (available := group.available_bytes()) is not None]
        return min([self.virtual_memory().available, *left])

    def budget_bytes(self, percent: int) -> int:
        """So much of the memory, but never more than the GPU may wire."""
        share = self.total_bytes() * percent // 100
        return min(share, self.gpu_limit_bytes) if self.gpu_limit_bytes else share


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
