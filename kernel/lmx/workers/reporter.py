"""The progress of a job on its way to the kernel: the latest, a bounded number of times a second."""

import threading
import time
from math import isfinite
from numbers import Integral

from attrs import define, field

from lmx.workers.frames import FrameSocket
from lmx.workers.wire import text_to_wire

MIN_INTERVAL_S = 0.1

Report = tuple[float, str, dict[str, float]]
"""Fraction, note and facts."""


@define(eq=False)
class Reporter:
    """The Progress that a job is handed: calling it costs next to nothing, a thread of its own sends."""

    _link: FrameSocket
    _latest: Report | None = field(default=None, init=False)
    _news: threading.Event = field(factory=threading.Event, init=False)
    _sending: threading.Lock = field(factory=threading.Lock, init=False)

    def __call__(self, fraction: float, note: str = "", **facts: float) -> None:
        """Keep it, in place of what has not been sent yet; facts that are no finite numbers are left out."""
        numbers = {name: _plain(value) for name, value in facts.items() if isfinite(value)}
        self._latest = (float(min(1.0, max(0.0, fraction))), text_to_wire(str(note)), numbers)
        self._news.set()

    def run(self) -> None:
        """Send what is new, for as long as the kernel is there."""
        try:
            while self._news.wait():
                self._news.clear()
                self.flush()
                time.sleep(MIN_INTERVAL_S)
        except OSError:
            return  # the kernel is gone; the reader ends the process

    def flush(self) -> None:
        """Send what is new now; afterwards nothing older is on its way."""
        with self._sending:
            latest, self._latest = self._latest, None
            if latest:
                self._link.send("progress", *latest)


def _plain(value: float) -> float:
    """NumPy's numbers, and the like, as Python's."""
    return int(value) if isinstance(value, Integral) else float(value)
