"""The worker and job processes that this test process has started; servers that other tests keep are not among them."""

from contextlib import suppress

import psutil


def worker_processes() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if is_worker(child)]


def is_worker(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return any(word.startswith("lmx.workers.") for word in process.cmdline())
    return False
