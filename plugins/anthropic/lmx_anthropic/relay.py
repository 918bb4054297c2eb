"""Between the engine and the client: what gathers while the client is slow goes out at once, and silence is filled."""

import asyncio
from collections.abc import AsyncIterator

from attrs import define, field

from lmx_anthropic.events import EventEncoder
from lmx_hookspecs import Generation

MAX_AHEAD = 256
"""Events that may wait for a slow client before the engine's pieces are left where they are."""


@define(eq=False)
class Relay:
    """The chunks of a stream."""

    _generation: Generation
    _encoder: EventEncoder
    _heartbeat_s: float
    _waiting: list[bytes] = field(factory=list)
    _news: asyncio.Event = field(factory=asyncio.Event)
    """Something waits, or nothing more will come."""
    _room: asyncio.Event = field(factory=asyncio.Event)
    _failure: Exception | None = None
    _ended: bool = False
    _pump: "asyncio.Task[None]" = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._pump = asyncio.create_task(self._run())

    async def first(self, timeout_s: float) -> None:
        """Wait for the first event, but no longer than that; raises what ended the generation before it."""
        await self._news_within(timeout_s)
        if self._failure is not None and not self._waiting:
            raise self._failure

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not await self._news_within(self._heartbeat_s):
            return self._encoder.ping()
        if not self._waiting:
            raise self._failure or StopAsyncIteration
        data = b"".join(self._waiting)
        self._waiting.clear()
        self._room.set()
        if not self._ended:
            self._news.clear()
        return data

    async def aclose(self) -> None:
        """Stop the generation and free its place."""
        self._pump.cancel()
        await asyncio.wait([self._pump])
        await self._generation.aclose()

    async def _run(self) -> None:
        try:
            async for piece in self._generation:
                self._put(self._encoder.piece(piece))
                if len(self._waiting) >= MAX_AHEAD:
                    self._room.clear()
                    await self._room.wait()  # meanwhile the generation ends by itself with its time
            self._put(self._encoder.end())
        except Exception as error:  # the boundary between the two tasks: raised again where the client is served
            self._failure = error
        finally:
            self._ended = True
            self._news.set()

    def _put(self, data: bytes) -> None:
        if data:
            self._waiting.append(data)
            self._news.set()

    async def _news_within(self, timeout_s: float) -> bool:
        if self._news.is_set():
            return True
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return False
        return True
