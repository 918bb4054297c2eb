"""The outermost layer: request ids, the door, one log line per request, and an answer whatever happens inside.

A WebSocket passes it like a request: what refuses it is an HTTP answer, in the messages that ASGI has for that.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import AsyncExitStack
from time import perf_counter
from typing import Any

from attrs import define, field

from lmx.http import errors
from lmx.http.access import Access
from lmx.http.arrival import Arrival, RouteOf
from lmx.http.requests import headers_of, is_label
from lmx.http.security import Door
from lmx.http.streaming import OpenRequests
from lmx_hookspecs import LmxError, Logger

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

STARTS = frozenset({"http.response.start", "websocket.http.response.start", "websocket.accept"})
SWITCHING_PROTOCOLS = 101
CLOSED_UNOPENED = 403
"""What the client sees of a WebSocket that is closed before it was accepted."""
UNLOGGED = frozenset({"/healthz", "/admin/events"})
EXPOSED = (
    "X-Request-ID",
    "X-LMX-Served-By",
    "Retry-After",
    "RateLimit",
    "RateLimit-Policy",
    *(f"x-ratelimit-{what}-{of}" for of in ("requests", "tokens") for what in ("limit", "remaining", "reset")),
)
"""Fields of an answer that a page of a listed origin may read."""
LINGER_S = 2.0
"""How long the rest of an unread body is taken in: closing earlier resets the connection under the answer."""


@define(eq=False)
class Edge:
    """Raw ASGI around the application and its middlewares."""

    app: Asgi
    access: Access
    open_requests: OpenRequests
    log: Logger
    route_of: RouteOf
    shapes: errors.Shapes = field(factory=errors.Shapes)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] in ("http", "websocket"):
            await self._answer(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _answer(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        from structlog.contextvars import bound_contextvars

        headers = headers_of(scope)
        exchange = Exchange(
            receive,
            send,
            request_id_of(headers),
            cors_headers(self.access.door, headers),
            is_websocket=scope["type"] == "websocket",
            path=scope["path"],
            shapes=self.shapes,
        )
        state = scope.setdefault("state", {})
        state["exchange"], state["headers"] = exchange, headers
        state["arrival"] = Arrival(scope, headers, self.access, self.route_of)
        with bound_contextvars(request_id=exchange.request_id):
            try:
                async with AsyncExitStack() as state["stack"]:
                    await self._run(scope, headers, exchange)
            finally:
                await exchange.finish()
                self._log(scope, exchange)

    async def _run(self, scope: MutableMapping[str, Any], headers: Mapping[str, str], exchange: "Exchange") -> None:
        await self.access.refresh()
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await exchange.fail(refusal)
            return
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except Exception as error:  # the boundary of a request: a bug answers 500 and the server goes on
            refusal = errors.deliberate(error) if exchange.status is None else None  # a middleware's
            if refusal is None:
                self.log.error("request_failed", method=method_of(scope), path=scope["path"], exc_info=error)
            if exchange.status is not None:
                raise
            await exchange.fail(refusal or errors.internal_error())
        if exchange.status is None and not exchange.disconnected:
            await exchange.fail(errors.stopping() if self.open_requests.closing else errors.internal_error())

    def _refusal(self, scope: Mapping[str, Any], headers: Mapping[str, str]) -> LmxError | None:
        if self.open_requests.closing:
            return errors.stopping()
        try:
            self.access.door.check(scope["scheme"].replace("ws", "http"), headers)
        except LmxError as error:
            return error
        return None

    def _log(self, scope: Mapping[str, Any], exchange: "Exchange") -> None:
        if scope["path"] not in UNLOGGED:
            self.log.info(
                "http_request",
                method=method_of(scope),
                path=scope["path"],
                status=exchange.status,
                error=exchange.error,
                latency_ms=round((perf_counter() - exchange.began) * 1000, 1),
            )


@define(eq=False)
class Exchange:
    """One request, or WebSocket, and its answer, as they pass the edge."""

    _receive: Receive
    _send: Send
    request_id: str
    cors: Mapping[str, str]
    is_websocket: bool = False
    path: str = ""
    shapes: errors.Shapes = field(factory=errors.Shapes)
    began: float = field(factory=perf_counter)
    status: int | None = None
    """What was sent; None so far, or because the client went away before."""
    disconnected: bool = False
    error: str | None = None
    """The code of the error that was answered."""
    body_complete: bool = field(init=False)
    """All of it has been taken in."""
    _end_held: bool = False

    @body_complete.default
    def _has_no_body(self) -> bool:
        return self.is_websocket

    async def receive(self) -> Message:
        """The next message from the client."""
        message = await self._receive()
        if message["type"] in ("http.disconnect", "websocket.disconnect"):
            self.disconnected = True
        elif not message.get("more_body", False):
            self.body_complete = True
        return message

    async def send(self, message: Message) -> None:
        """Send on; the end of an answer that comes before the end of the request is held back for `finish`."""
        if message["type"] in STARTS:
            self.status = message.get("status", SWITCHING_PROTOCOLS)
            message = {**message, "headers": self._with_own(message.get("headers", ()))}
        elif message["type"] == "websocket.close":
            self.status = self.status or CLOSED_UNOPENED
        elif not message.get("more_body", False) and not self.body_complete:
            self._end_held = True
            message = {**message, "more_body": True}
        await self._send(message)

    async def fail(self, error: LmxError) -> None:
        """Answer with an error."""
        self.error = error.code
        answer = self.shapes.answer(error, self.path, self.request_id)
        fields = {**answer.headers, "Content-Length": str(len(answer.body))}
        kind = "websocket.http.response" if self.is_websocket else "http.response"
        await self.send(
            {
                "type": f"{kind}.start",
                "status": answer.status,
                "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in fields.items()],
            }
        )
        await self.send({"type": f"{kind}.body", "body": answer.body, "more_body": False})

    async def finish(self) -> None:
        """Take in what the client still sends, for a while, then end the answer."""
        if not self._end_held:
            return
        try:
            async with asyncio.timeout(LINGER_S):
                while not self.body_complete and not self.disconnected:
                    await self.receive()
        except TimeoutError:
            pass  # it sends more than anybody wants: the connection is closed under it
        if not self.disconnected:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def _with_own(self, fields: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        own = {"x-request-id": self.request_id, **self.cors}
        kept = [(name, value) for name, value in fields if name.decode("latin-1").lower() not in own]
        return [*kept, *((name.encode(), value.encode("latin-1")) for name, value in own.items())]


def method_of(scope: Mapping[str, Any]) -> str:
    """For the log; ASGI gives a WebSocket none, and HTTP/1.1 opens it with a GET."""
    return str(scope.get("method", "GET"))


def request_id_of(headers: Mapping[str, str]) -> str:
    """The client's own id where it is fit for a header and a log line, else a fresh one."""
    sent = headers.get("x-request-id", "")
    return sent if is_label(sent) else f"req-{secrets.token_urlsafe(12)}"


def cors_headers(door: Door, headers: Mapping[str, str]) -> Mapping[str, str]:
    """What a listed origin needs in order to read the answer; nothing for anybody else."""
    origin = headers.get("origin")
    if origin is None or not door.allows_origin(origin):
        return {}
    return {
        "access-control-allow-origin": origin,
        "access-control-expose-headers": ", ".join(EXPOSED),
        "vary": "Origin",
    }
