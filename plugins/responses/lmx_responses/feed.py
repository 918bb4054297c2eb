"""The events of one response between who makes them and who reads them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from attrs import define, field

MAX_AHEAD = 256
"""Events that may wait for a slow client before the engine's pieces are left where they are."""
PING = b": ping\n\n"


@define(eq=False)
class Feed:
    """Events by their sequence numbers. Those that are not kept are gone once they are read, by one reader."""

    keeps: bool
    size_bytes: int = 0
    ended: bool = False
    _events: list[bytes] = field(factory=list)
    _first: int = 0
    """Sequence number of the first that is here."""
    _news: asyncio.Event = field(factory=asyncio.Event)
    _room: asyncio.Event = field(factory=asyncio.Event)

    def put(self, event: bytes) -> None:
        """The next event."""
        self._events.append(event)
        self.size_bytes += len(event)
        self._wake()

    def end(self) -> None:
        """There are no more."""
        self.ended = True
        self._wake()

    def take(self, number: int) -> tuple[bytes, int]:
        """The events from that one on, as one chunk, and the number of the one after them."""
        chunk = b"".join(self._events[max(0, number - self._first) :])
        after = self._first + len(self._events)
        if not self.keeps:
            self._events.clear()
            self._first, self.size_bytes = after, 0
            self._room.set()
        return chunk, max(number, after)

    async def room(self) -> None:
        """Returns once there is room for another."""
        while not self.keeps and len(self._events) >= MAX_AHEAD:
            self._room.clear()
            await self._room.wait()

    async def news(self) -> None:
        """Returns when something has changed."""
        await self._news.wait()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


@define(eq=False)
class Reader:
    """The chunks of a stream; silence is filled."""

    _feed: Feed
    _heartbeat_s: float
    _next: int = 0
    _on_close: Callable[[], Awaitable[None]] | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk, self._next = self._feed.take(self._next)
        if chunk:
            return chunk
        if self._feed.ended:
            raise StopAsyncIteration
        try:
            async with asyncio.timeout(self._heartbeat_s):
                await self._feed.news()
        except TimeoutError:
            return PING
        return await anext(self)

    async def aclose(self) -> None:
        """The client has what it wanted, or is gone."""
        if self._on_close is not None:
            await self._on_close()
