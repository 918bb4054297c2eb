"""Has the thread of the event loop run soon after it wakes up, while engines compute on all cores.

Linux 6.12 and later lets a thread ask for shorter time slices than others have: it gets no more of the processor, but
sooner (`sched_setattr(2)`; Documentation/scheduler/sched-eevdf.rst). Elsewhere nothing is asked for.
"""

import ctypes
import os
import platform
import re
import sys
from typing import NamedTuple

SLICE_NS = 700_000
"""Others have 1.4 ms with two processors, 2.8 with eight; of 0.1 ms an engine's thread takes over before a request is
through."""
FIRST_RELEASE = (6, 12)
SCHED_OTHER = 0
RESET_ON_FORK = 1
"""Processes and threads that it starts have the usual slices."""


class Calls(NamedTuple):
    """The numbers of `sched_getattr` and `sched_setattr`, for which the C library has no function."""

    get: int
    put: int


CALLS = {"x86_64": Calls(315, 314), "aarch64": Calls(275, 274)}
"""By machine."""


class _Attributes(ctypes.Structure):
    """`struct sched_attr`."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime_ns", ctypes.c_uint64),
        ("deadline_ns", ctypes.c_uint64),
        ("period_ns", ctypes.c_uint64),
    )


def shorten() -> bool:
    """Ask for the calling thread; False where that cannot be had, or where somebody has raised its priority."""
    if sys.platform != "linux" or release_of(os.uname().release) < FIRST_RELEASE or platform.machine() not in CALLS:
        return False
    attributes = _attributes()
    # Of a raised priority RESET_ON_FORK would leave nothing to the workers.
    if attributes is None or attributes.policy != SCHED_OTHER or attributes.nice < 0:
        return False
    attributes.flags |= RESET_ON_FORK
    attributes.runtime_ns = SLICE_NS
    return _call(CALLS[platform.machine()].put, attributes)


def release_of(name: str) -> tuple[int, ...]:
    """`6.18.44-custom` → `(6, 18)`; nothing where it has no numbers."""
    numbers = re.match(r"(\d+)\.(\d+)", name)
    return tuple(map(int, numbers.groups())) if numbers else ()


def _attributes() -> _Attributes | None:
    """Those of the calling thread."""
    attributes = _Attributes(size=ctypes.sizeof(_Attributes))
    return attributes if _call(CALLS[platform.machine()].get, attributes, attributes.size) else None


def _call(number: int, attributes: _Attributes, *size: int) -> bool:
    """Whether the system did it: a sandbox may forbid it."""
    return not ctypes.CDLL(None).syscall(number, 0, ctypes.byref(attributes), *size, 0)
