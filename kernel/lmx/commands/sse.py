"""Server-sent events, as far as our own server sends them."""

from collections.abc import Iterable, Iterator

# https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation


def events(chunks: Iterable[bytes]) -> Iterator[str]:
    """The data of each event; comments, such as keep-alive pings, are left out."""
    data: list[str] = []
    for line in _lines(chunks):
        if line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))
        elif not line and data:
            yield "\n".join(data)
            data.clear()


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines ended by a line feed alone: `str.splitlines` would also cut at U+2028, which JSON may hold."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r").decode("utf-8", "replace")
