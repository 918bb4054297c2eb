"""llama.cpp as a whole: brought up once per process, its own log led into the worker's."""

import ctypes
from collections import deque
from typing import Any

import llama_cpp
from attrs import define, field

from lmx_hookspecs import Logger

WARNING, ERROR, CONTINUED = 3, 4, 5
"""Levels of ggml's log."""
LINES_KEPT = 20


@define(eq=False)
class LibraryLog:
    """What llama.cpp says goes to the worker's log at `debug`; its last complaints are kept for error messages."""

    _log: Logger
    _complaints: deque[str] = field(factory=lambda: deque(maxlen=LINES_KEPT), init=False)
    _unfinished: str = field(default="", init=False)
    _level: int = field(default=0, init=False)
    _callback: Any = field(default=None, init=False)

    def open(self) -> None:
        """Take the log over, and bring llama.cpp up."""
        self._callback = llama_cpp.llama_log_callback(self._take)
        llama_cpp.llama_log_set(self._callback, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()

    def close(self) -> None:
        """Give the log back; what comes later is dropped, since nobody listens any more."""
        llama_cpp.llama_log_set(silence, ctypes.c_void_p(0))

    def complaints(self) -> str:
        """The warnings and errors since the last time, and forget them."""
        said = "; ".join(self._complaints)
        self._complaints.clear()
        return said

    def _take(self, level: int, text: bytes, _: Any) -> None:
        self._level = self._level if level == CONTINUED else level
        self._unfinished += text.decode("utf-8", "replace")
        *lines, self._unfinished = self._unfinished.split("\n")
        for line in filter(None, map(str.strip, lines)):
            self._log.debug("llama_cpp", line=line)
            if self._level in {WARNING, ERROR}:
                self._complaints.append(line)


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def silence(level: int, text: bytes, user_data: Any) -> None:
    """Log nothing; it lives as long as the library, which keeps a pointer to it."""
