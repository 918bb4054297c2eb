"""Requests that are being answered, and streams that can be ended from outside."""

import asyncio
from collections.abc import AsyncIterator, Callable

from attrs import define, field

from lmx.http import errors
from lmx_hookspecs import LmxError, Logger, StreamResponse


@define(eq=False)
class OpenRequest:
    """A request whose answer is on its way."""

    task: "asyncio.Task[object]"
    ended: bool = False
    """The server, not the client, has ended it."""
    endless: bool = False
    """It would never end by itself."""
    on_closing: Callable[[], None] | None = None
    """How it is told that the server stops, where it can go on listening to its client until then."""

    def end(self) -> None:
        """Cancel it; what the client is told depends on how far its answer has come."""
        self.ended = True
        self.task.cancel()


@define(eq=False)
class OpenRequests:
    """All requests that are being answered, so that a shutdown can wait for them and then end them."""

    closing: bool = False
    """No new request is let in."""
    _open: set[OpenRequest] = field(factory=set)

    def __len__(self) -> int:
        return len(self._open)

    def enter(self) -> OpenRequest:
        """Register the current task."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a request is answered by a task")
        request = OpenRequest(task)
        self._open.add(request)
        return request

    def leave(self, request: OpenRequest) -> None:
        """Its answer has been sent, or nobody waits for it."""
        self._open.discard(request)

    def mark_endless(self, request: OpenRequest) -> None:
        """It will not end by itself, so `close` ends it."""
        request.endless = True
        if self.closing:
            request.end()

    def tell_when_closing(self, request: OpenRequest, told: Callable[[], None]) -> None:
        """Call `told` once the server stops, at once where it does already."""
        request.on_closing = told
        if self.closing:
            told()

    def close(self) -> None:
        """Let no new request in, and end those that would never end by themselves."""
        self.closing = True
        for request in list(self._open):
            if request.endless:
                request.end()
            elif request.on_closing is not None:
                request.on_closing()

    def end_all(self) -> None:
        """End whatever is still open."""
        for request in list(self._open):
            request.end()


@define(eq=False)
class GuardedChunks:
    """The chunks of a stream; a failure after the first byte becomes its last chunk."""

    response: StreamResponse
    request: OpenRequest
    log: Logger
    _over: bool = False
    _closed: bool = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._over:
            raise StopAsyncIteration
        try:
            return await anext(self.response.chunks)
        except StopAsyncIteration:
            raise
        except asyncio.CancelledError:
            if not self.request.ended:
                raise
            self.request.task.uncancel()
            return self._last(errors.stopping())
        except LmxError as error:
            return self._last(error)
        except Exception as error:  # the boundary of a stream: its status is sent, so a bug can only end it
            self.log.error("stream_failed", exc_info=error)
            return self._last(errors.internal_error())

    async def aclose(self) -> None:
        """Free what the stream holds; a second time changes nothing."""
        self._over = True
        if self._closed:
            return
        self._closed = True
        await self.response.chunks.aclose()  # type: ignore[attr-defined]  # the contract of StreamResponse.chunks

    def _last(self, error: LmxError) -> bytes:
        self._over = True
        if self.response.failure is None:
            raise error
        return self.response.failure(errors.shape(error))
