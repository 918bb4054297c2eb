"""`GET /admin/events`: what happens in the server, as server-sent events.

The admin key travels as a header only: in a query it would end up in logs and histories. A browser's `EventSource`
sends no headers, so a page of its own host uses `fetch` and reads the stream from the body.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from time import time
from typing import Any

from attrs import define, field, frozen

from lmx_hookspecs import Context, Request, Response, StreamResponse, option
from lmx_hookspecs.errors import InvalidRequest

# https://html.spec.whatwg.org/multipage/server-sent-events.html
RECONNECT_MS = 3_000
MAX_DIGITS = 18


@frozen(kw_only=True)
class EventsQuery:
    """What a client may choose."""

    types: str | None = option(None, "only events of these types, with commas between them")
    last_event_id: int | None = option(
        None, "replay what is kept behind this event; the header Last-Event-ID comes first", ge=0, le=10**MAX_DIGITS
    )


async def events(ctx: Context, request: Request) -> Response:
    """Events from now on, or behind the last one that the client has seen."""
    bus, after = ctx.services.events, _last_seen(request)
    # No empty line behind it: it would end an event without data, which some clients take for one.
    frames = [f"retry: {RECONNECT_MS}\n".encode()]
    if after is not None and after + 1 < bus.oldest():
        frames.append(_frame("missed", {"last_event_id": after, "oldest_id": bus.oldest()}))
    stream = EventStream(
        bus.subscribe(after),
        frames,
        _types(request.parameters.types),
        heartbeat_s=ctx.services.config.section("server").sse_heartbeat_interval_sec,
    )
    return StreamResponse(chunks=stream, failure=_closed, endless=True)


@define(eq=False)
class EventStream:
    """The frames of one subscriber: `heartbeat` fills silence, and `overflow` tells one who reads too slowly."""

    _events: AsyncIterator[tuple[int, str, Mapping[str, Any]]]
    _frames: list[bytes]
    """What is sent first."""
    _types: frozenset[str]
    """Those that the client wants; all where there is none."""
    _heartbeat_s: float = field(kw_only=True)
    _over: bool = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """The next frame."""
        if self._frames:
            first = b"".join(self._frames)
            self._frames.clear()
            return first
        if self._over:
            raise StopAsyncIteration
        try:
            async with asyncio.timeout(self._heartbeat_s):
                return await self._wanted()
        except TimeoutError:
            return _frame("heartbeat", {"timestamp": round(time(), 3)})
        except StopAsyncIteration:
            self._over = True
            advice = "events came faster than they were read; connect again to go on behind the last one"
            return _frame("overflow", {"message": advice})

    async def aclose(self) -> None:
        """Listen no more."""
        await self._events.aclose()  # type: ignore[attr-defined]  # the contract of EventsService.subscribe

    async def _wanted(self) -> bytes:
        while True:
            event_id, type_, data = await anext(self._events)
            if not self._types or type_ in self._types:
                return _frame(type_, data, event_id)


def _frame(type_: str, data: Mapping[str, Any], event_id: int | None = None) -> bytes:
    line = "" if event_id is None else f"id: {event_id}\n"
    return f"{line}event: {type_}\ndata: {json.dumps(data, default=str)}\n\n".encode()


def _closed(error: Mapping[str, Any]) -> bytes:
    """The last frame of a stream that the server ends."""
    return _frame("closed", error)


def _types(listed: str | None) -> frozenset[str]:
    return frozenset(filter(None, map(str.strip, (listed or "").split(","))))


def _last_seen(request: Request) -> int | None:
    text = request.headers.get("last-event-id", "").strip()
    if not text:
        seen: int | None = request.parameters.last_event_id
        return seen
    if not (text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS):
        raise InvalidRequest(
            "Last-Event-ID is no id of an event; send the `id` of the last one you have seen, or leave it out",
            param="Last-Event-ID",
        )
    return int(text)
