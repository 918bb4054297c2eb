"""Server-sent events, as far as OpenAI-compatible servers use them: their `data` fields.

https://html.spec.whatwg.org/multipage/server-sent-events.html. Lines end at line feeds alone: what other readers take
for line ends, such as U+2028, stands unescaped in the JSON of many servers.
"""

from collections.abc import Iterator

from attrs import define, field

LARGEST_EVENT_BYTES = 16 * 2**20
LINE_BYTES = 64
"""What a line takes beside its text."""


class EventTooLarge(ValueError):
    """More than `LARGEST_EVENT_BYTES` came without the end of an event."""


@define(eq=False)
class EventReader:
    """Fed with bytes as they come, it gives the data of each event once that is complete; no byte is read twice."""

    _line: bytearray = field(factory=bytearray, init=False)
    """The last one, as far as it has come."""
    _data: list[bytes] = field(factory=list, init=False)
    """The data lines of the event that is coming in."""
    _size_bytes: int = field(default=0, init=False)
    """What they take."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The data of the events that this chunk completes; raises EventTooLarge."""
        begin = 0
        while (end := chunk.find(b"\n", begin)) >= 0:
            self._line += chunk[begin:end]
            yield from self._take(bytes(self._line).removesuffix(b"\r"))
            self._line.clear()
            begin = end + 1
        self._line += chunk[begin:]
        if len(self._line) + self._size_bytes > LARGEST_EVENT_BYTES:
            raise EventTooLarge

    def _take(self, line: bytes) -> Iterator[bytes]:
        if not line and self._data:
            data, self._data, self._size_bytes = b"\n".join(self._data), [], 0
            yield data
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            self._size_bytes += len(value) + LINE_BYTES
