"""Runs one function over many items in threads that end with whoever waits for them."""

import time
from collections.abc import Callable, Generator, Sequence
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
GRACE_S = 10.0
"""How long work in progress is waited for once no more is wanted."""


def in_parallel(work: Callable[[Item], Result], items: Sequence[Item], jobs: int) -> Generator[Result]:
    """The results as they come, in no order; raises what `work` raises.

    After an error, an interrupt or a close, no item is begun, and those in progress get a little time. The threads are
    daemons: what takes longer ends with the process.
    """
    todo: SimpleQueue[Item] = SimpleQueue()
    done: SimpleQueue[Result | BaseException] = SimpleQueue()
    stopped = Event()
    for item in items:
        todo.put(item)
    threads = [Thread(target=_run, args=(work, todo, done, stopped), daemon=True) for _ in range(min(jobs, len(items)))]
    for thread in threads:
        thread.start()
    try:
        for _ in items:
            result = done.get()
            if isinstance(result, BaseException):
                raise result
            yield result
    finally:
        stopped.set()
        _join(threads)


def _run(
    work: Callable[[Item], Result], todo: SimpleQueue[Item], done: SimpleQueue[Result | BaseException], stopped: Event
) -> None:
    while not stopped.is_set():
        try:
            item = todo.get_nowait()
        except Empty:
            return
        try:
            done.put(work(item))
        except BaseException as error:  # raised again in the thread that waits
            done.put(error)
            return


def _join(threads: Sequence[Thread]) -> None:
    deadline = time.monotonic() + GRACE_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
