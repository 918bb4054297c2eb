"""Server-sent events, as far as our own server sends them."""

from collections.abc import Iterable, Iterator

from attrs import frozen

# https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
DEFAULT_TYPE = "message"


@frozen
class Event:
    """One event; `id` is the last one that the stream named, for going on behind it."""

    data: str
    type: str = DEFAULT_TYPE
    id: str | None = None


def events(chunks: Iterable[bytes]) -> Iterator[Event]:
    """Each event with data; comments, such as keep-alive pings, are left out."""
    data: list[str] = []
    kind, last_id = DEFAULT_TYPE, None
    for line in _lines(chunks):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "event":
            kind = value
        elif name == "id":
            last_id = value
        elif not line:
            if data:
                yield Event("\n".join(data), kind, last_id)
            data, kind = [], DEFAULT_TYPE


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines ended by a line feed alone: `str.splitlines` would also cut at U+2028, which JSON may hold."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r").decode("utf-8", "replace")
