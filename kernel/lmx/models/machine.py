"""What this machine, and the control groups that the process may not leave, have of memory."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Protocol

from attrs import field, frozen

from lmx_hookspecs.control_groups import ControlGroup, control_groups

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
