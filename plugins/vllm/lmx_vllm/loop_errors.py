"""Notices an engine loop that only fails: vllm-mlx logs what a step raises and tries the same step again, for ever."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOP_LOGGER = "vllm_mlx.engine_core"
PERSISTENT = 5
WITHIN_S = 3.0


class LoopErrors(logging.Handler):
    """Counts the errors of the engine loop, which it makes ten times a second once it is beyond repair."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(logging.ERROR)
        self._clock = clock
        self._times_s: deque[float] = deque(maxlen=PERSISTENT)
        self._last = ""

    def emit(self, record: logging.LogRecord) -> None:
        """One more."""
        self._times_s.append(self._clock())
        self._last = record.getMessage().partition("\n")[0]

    @property
    def verdict(self) -> str | None:
        """What the loop fails with, again and again; None while it does not."""
        times_s = self._times_s
        persistent = len(times_s) == PERSISTENT and times_s[-1] - times_s[0] < WITHIN_S
        return self._last if persistent else None


@contextmanager
def watched_loop(errors: LoopErrors) -> Iterator[None]:
    """While it is entered, the errors are counted; they go to stderr as well."""
    logger = logging.getLogger(LOOP_LOGGER)
    logger.addHandler(errors)
    try:
        yield
    finally:
        logger.removeHandler(errors)
