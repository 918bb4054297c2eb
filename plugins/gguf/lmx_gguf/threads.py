"""How many threads compute: more than there are cores to run them on only wait for each other.

llama.cpp's threads meet some dozens of times in a step. One that has lost its core for a moment holds up all of them,
so that a core is left to the server, its clients and the rest of the machine: with two threads on two busy cores a step
took three to thirty times as long as with one.
"""

import os
import subprocess
import sys

import psutil

SYSCTL_TIMEOUT_S = 5.0


def default_threads() -> int:
    """One less than the physical cores that this process may use; of Apple silicon, than the performance cores."""
    physical = performance_cores() or psutil.cpu_count(logical=False) or os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else physical
    return max(1, min(physical, allowed) - 1)


def performance_cores() -> int | None:
    """Of Apple silicon: llama.cpp waits for its slowest thread, and efficiency cores are slow."""
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
