"""What a worker wrote to its stdout or stderr, as bounded lines; the last ones explain its death.

Indented lines are handed on but not remembered: they are the stack of a traceback, and a reason needs its last word.
"""

from collections import deque
from collections.abc import Callable

from attrs import define, field

MAX_LINE_BYTES = 2_000
KEPT_LINES = 6


@define(eq=False)
class Tail:
    """Splits what arrives into lines, hands each one on, and remembers the last ones."""

    _tell: Callable[[str], None]
    _rest: bytes = field(default=b"", init=False)
    _last: deque[str] = field(factory=lambda: deque(maxlen=KEPT_LINES), init=False)

    def feed(self, data: bytes) -> None:
        """Take what arrived; a line that never ends is cut into pieces."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(line)
        while len(self._rest) > MAX_LINE_BYTES:
            self._take(self._rest[:MAX_LINE_BYTES])
            self._rest = self._rest[MAX_LINE_BYTES:]

    def finish(self) -> None:
        """The pipe is closed: what has no end is a line too."""
        self._take(self._rest)
        self._rest = b""

    def lines(self) -> list[str]:
        """The last lines."""
        return list(self._last)

    def _take(self, line: bytes) -> None:
        if text := line[:MAX_LINE_BYTES].decode("utf-8", "replace").rstrip():
            self._tell(text)
            if not text[0].isspace():
                self._last.append(text)
