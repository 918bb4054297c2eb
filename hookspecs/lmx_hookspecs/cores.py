"""How many cores of the machine are this process's to compute on."""

import os
import subprocess
import sys

import psutil

from lmx_hookspecs.control_groups import cpu_quotas

SYSCTL_TIMEOUT_S = 5.0


def usable_cores() -> int:
    """The physical cores that this process may use; of Apple silicon, the performance cores."""
    physical = performance_cores() or psutil.cpu_count(logical=False) or os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else physical
    return max(1, int(min(physical, allowed, *cpu_quotas())))


def performance_cores() -> int | None:
    """Of Apple silicon: threads that wait for the slowest of them gain nothing from efficiency cores."""
    if sys.platform != "darwin":
        return None
    try:
        answer = subprocess.run(
            ["sysctl", "-n", "hw.perflevel0.physicalcpu"],
            capture_output=True,
            text=True,
            timeout=SYSCTL_TIMEOUT_S,
            check=True,
        ).stdout
        return int(answer)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None  # an Intel machine has no levels
