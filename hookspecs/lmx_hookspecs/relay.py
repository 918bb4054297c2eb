"""Between the engine and the client: runs a little ahead, writes what has gathered at once, and fills silence."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

from attrs import define, field

from lmx_hookspecs.context import Context
from lmx_hookspecs.generation import Generation, Piece
from lmx_hookspecs.http import StreamResponse
from lmx_hookspecs.wording import in_own_words

MAX_AHEAD = 256
"""Chunks that may wait for a slow client before the engine's pieces are left where they are."""


class Encoder(Protocol):
    """Writes one answer in the shape of an API."""

    def piece(self, piece: Piece) -> bytes:
        """What a piece adds to the stream; nothing where that is empty."""

    def end(self) -> bytes:
        """What stands after the last piece."""

    def ping(self) -> bytes:
        """What clients pass over, to show that the connection lives."""


@define(eq=False)
class Relay:
    """The chunks of a stream."""

    _generation: Generation
    _encoder: Encoder
    _heartbeat_s: float
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop)
    _ready: list[bytes] = field(factory=list)
    _failure: Exception | None = None
    _ended: bool = False
    _waiter: "asyncio.Future[None] | None" = None
    _room: asyncio.Event = field(factory=asyncio.Event)
    _last_at: float = 0.0
    _beat: asyncio.TimerHandle | None = None
    _pump: "asyncio.Task[None]" = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._pump = self._loop.create_task(self._run())

    async def opened(self) -> None:
        """Returns with the first chunk; raises what ended the generation before it."""
        await self._arrival()
        if self._failure is not None and not self._ready:
            raise self._failure

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._beat is None:
            self._last_at = self._loop.time()
            self._beat = self._loop.call_later(self._heartbeat_s, self._fill_silence)
        await self._arrival()
        if not self._ready:
            if self._failure is not None:
                raise self._failure
            raise StopAsyncIteration
        data = b"".join(self._ready)
        self._ready.clear()
        self._room.set()
        self._last_at = self._loop.time()
        return data

    async def aclose(self) -> None:
        """Stop the generation and free its place."""
        if self._beat is not None:
            self._beat.cancel()
        self._pump.cancel()
        await asyncio.wait([self._pump])
        await self._generation.aclose()

    async def _run(self) -> None:
        is_first = True
        try:
            async for piece in self._generation:
                self._put(self._encoder.piece(piece))
                if is_first:
                    is_first = False
                    await asyncio.sleep(0)  # it goes out before the next one is asked for
                if len(self._ready) >= MAX_AHEAD:
                    await self._wait_for_room()
            self._put(self._encoder.end())
        except Exception as error:  # the boundary between the two tasks: raised again where the client is served
            self._failure = error
        finally:
            self._ended = True
            self._wake()

    async def _wait_for_room(self) -> None:
        """Return once the client has taken the chunks; meanwhile the generation ends by itself with its time."""
        self._room.clear()
        await self._room.wait()

    async def _arrival(self) -> None:
        """Return once there is a chunk, or nothing more to come."""
        while not self._ready and not self._ended:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _put(self, data: bytes) -> None:
        if data:
            self._ready.append(data)
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fill_silence(self) -> None:
        """One timer for the whole stream: it looks whether anything was sent since it was set."""
        now = self._loop.time()
        if now - self._last_at >= self._heartbeat_s:
            if self._waiter is not None:  # else the client is not keeping up, and has enough to read
                self._put(self._encoder.ping())
            self._last_at = now
        self._beat = self._loop.call_at(self._last_at + self._heartbeat_s, self._fill_silence)


def relayed(
    ctx: Context,
    generation: Generation,
    encoder: Encoder,
    *,
    headers: Callable[[], Mapping[str, str]],
    failure: Callable[[Mapping[str, Any]], bytes],
    names: Mapping[str, str] | None = None,
) -> StreamResponse:
    """The answer of a generation as a stream; before its first piece a failure has a status of its own.

    `headers` are asked for then, because another model may have taken over; `failure` makes the last chunk of a
    stream that breaks; `names` are the surface's own for the fields of a generation.
    """
    relay = Relay(generation, encoder, ctx.services.config.section("server").sse_heartbeat_interval_sec)
    opening = relay.opened if names is None else in_own_words(names, relay.opened)
    return StreamResponse(chunks=relay, headers=headers, opening=opening, failure=failure)
