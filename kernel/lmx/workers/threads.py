"""Threads of a worker: if one of them breaks, the worker is useless and ends."""

import os
import sys
import threading
import traceback
from collections.abc import Callable

EXIT_LEFT = 70
"""The kernel is gone, the engine did not stop when asked, or a job was interrupted."""


def start_thread(name: str, work: Callable[[], None]) -> None:
    """Run `work` beside the main thread for as long as the process lives."""
    threading.Thread(target=lambda: guarded(work), name=name, daemon=True).start()


def guarded(work: Callable[[], None]) -> None:
    """Run `work`, and end the process if it fails; the kernel starts another."""
    try:
        work()
    except BrokenPipeError:
        leave(EXIT_LEFT)  # the kernel is gone
    except BaseException:  # the boundary of the process: the traceback goes to the kernel's log
        try:
            traceback.print_exc()
        finally:
            leave(1)


def leave(code: int) -> None:
    """End the process without unwinding it: there native engines hang, or abort."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)  # also where the kernel no longer reads what we say
