"""Server-sent events, as far as OpenAI-compatible servers use them: their `data` fields.

https://html.spec.whatwg.org/multipage/server-sent-events.html. Lines end at line feeds alone: what other readers take
for line ends, such as U+2028, stands unescaped in the JSON of many servers.
"""

from collections.abc import Iterator

from attrs import define, field

LARGEST_EVENT_BYTES = 16 * 2**20


class EventTooLarge(ValueError):
    """More than `LARGEST_EVENT_BYTES` came without the end of an event."""


@define(eq=False)
class EventReader:
    """Fed with bytes as they come, it gives the data of each event once that is complete."""

    _rest: bytes = b""
    """The last line, as far as it has come."""
    _data: list[bytes] = field(factory=list)
    """The data lines of the event that is coming in."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The data of the events that this chunk completes; raises EventTooLarge."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            yield from self._take(line.removesuffix(b"\r"))
        if len(self._rest) + sum(map(len, self._data)) > LARGEST_EVENT_BYTES:
            raise EventTooLarge

    def _take(self, line: bytes) -> Iterator[bytes]:
        if not line and self._data:
            data, self._data = b"\n".join(self._data), []
            yield data
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
