"""WebSockets: authenticated before they are accepted, bounded in what waits in them, and closed with a proper code."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from attrs import define, field

from lmx.http import bodies, errors
from lmx.http.dispatch import Dispatcher, asked_of, authenticated
from lmx.http.operations import Socket, quart_path
from lmx.http.requests import query_of
from lmx.http.streaming import OpenRequest
from lmx_hookspecs import Gate, Logger, Validated
from lmx_hookspecs.errors import Unavailable
from lmx_hookspecs.generation import Priority
from lmx_hookspecs.websockets import GOING_AWAY, INTERNAL_ERROR, NORMAL_CLOSURE, POLICY_VIOLATION

if TYPE_CHECKING:
    from collections.abc import Iterator

    import quart

MESSAGE_BYTES = 1024
"""What a waiting message counts for beside its text: many small ones take memory too."""
MAX_REASON = 120
"""Bytes of a reason, which shares a control frame of 125 with the code."""
OPENING = ("id", "headers", "query", "path_params", "key", "client", "priority", "timeout_s", "lenient")
"""What is taken over from the opening request."""
STOPPING = (GOING_AWAY, "the server is shutting down; connect again in a moment")
TOO_FAST = (POLICY_VIOLATION, "too many messages wait to be read; send fewer at once")


@define(eq=False)
class Inbox:
    """The messages that have come and nobody has taken yet; one task takes them."""

    max_bytes: int
    ending: tuple[int, str] | None = None
    """Why no more are given: the code and reason to close with."""
    _waiting: deque[str | bytes] = field(factory=deque)
    _held_bytes: int = 0
    _news: asyncio.Event = field(factory=asyncio.Event)

    def put(self, message: str | bytes) -> None:
        """Keep a message; too many end the connection, since a client that floods must not fill the memory."""
        if self.ending is not None:
            return
        self._held_bytes += len(message) + MESSAGE_BYTES
        if self._held_bytes > self.max_bytes:
            self.end(TOO_FAST)
            return
        self._waiting.append(message)
        self._news.set()

    async def get(self) -> str | bytes | None:
        """The next message; None once it has ended."""
        while self.ending is None and not self._waiting:
            self._news.clear()
            await self._news.wait()
        if self.ending is not None:
            return None
        message = self._waiting.popleft()
        self._held_bytes -= len(message) + MESSAGE_BYTES
        return message

    def end(self, ending: tuple[int, str] = STOPPING) -> None:
        """Give no more messages."""
        self.ending = self.ending or ending
        self._waiting.clear()
        self._news.set()


@define(eq=False, kw_only=True)
class Connection:
    """The contract's WebSocket."""

    id: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    path_params: Mapping[str, str]
    key: str | None
    client: str | None
    priority: Priority
    timeout_s: float | None
    lenient: bool
    _scope: Mapping[str, Any]
    _websocket: "quart.Websocket"
    _inbox: Inbox
    _gates: Sequence[Gate]
    _log: Logger
    closed: bool = False

    async def receive(self) -> str | bytes | None:
        """The next message."""
        return await self._inbox.get()

    async def send(self, text: str) -> None:
        """Send a message, unless it is closed."""
        if not self.closed:
            await self._websocket.send(text)

    async def close(self, code: int = NORMAL_CLOSURE, reason: str = "") -> None:
        """Close once."""
        if not self.closed:
            self.closed = True
            await self._websocket.close(code, reason.encode()[:MAX_REASON].decode(errors="ignore"))

    async def admit(self) -> None:
        """Ask every gate."""
        for gate in self._gates:
            await gate.admit(self._scope)

    def decode(self, text: str) -> dict[str, Any]:
        """A JSON object."""
        return bodies.decode(text.encode("utf-8", "surrogatepass"))

    def validate(self, data: Mapping[str, Any], cls: type, *, allow_unknown: bool = False) -> Validated:
        """An instance of `cls`."""
        body = bodies.fit(data, cls, allow_unknown=allow_unknown)
        return Validated(body.value, body.unknown)

    def explain(self, raised: Exception) -> Mapping[str, Any]:
        """The error in the OpenAI shape."""
        error = errors.deliberate(raised)
        if error is None:
            self._log.error("websocket_request_failed", path=self._scope["path"], exc_info=raised)
            error = errors.internal_error()
        explained: Mapping[str, Any] = errors.shape(error)["error"]
        return explained


@define(eq=False)
class SocketDispatcher:
    """Opens the WebSockets of all surfaces, so many at once."""

    dispatcher: Dispatcher
    gates: Sequence[Gate]
    max_connections: int
    _open: int = 0

    async def answer(self, socket: Socket, path_params: Mapping[str, str]) -> None:
        """Serve the current WebSocket; what is raised before it is accepted is answered like a request."""
        from quart import websocket

        scope: Any = websocket.scope
        stack: AsyncExitStack = scope["state"]["stack"]
        opened = self.dispatcher.open_requests.enter()
        stack.callback(self.dispatcher.open_requests.leave, opened)
        key = authenticated(self.dispatcher.access, socket.route, scope["state"]["arrival"])
        asked = asked_of(scope, key, path_params=path_params, query=query_of(scope))
        stack.enter_context(self._place())
        inbox: Inbox = scope["state"]["inbox"]
        self.dispatcher.open_requests.tell_when_closing(opened, inbox.end)
        accepted = websocket._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001  a proxy, as Quart has it
        connection = Connection(
            **{name: getattr(asked, name) for name in OPENING},
            scope=scope,
            websocket=accepted,
            inbox=inbox,
            gates=self.gates,
            log=self.dispatcher.log,
        )
        await accepted.accept()
        await connection.close(*await self._ending(socket, connection, inbox, opened))

    async def _ending(
        self, socket: Socket, connection: Connection, inbox: Inbox, opened: OpenRequest
    ) -> tuple[int, str]:
        """Run the handler; the code and reason to close with."""
        try:
            await socket.call(connection)
        except asyncio.CancelledError:
            if not opened.ended:
                raise
            opened.task.uncancel()
            return STOPPING
        except Exception as error:  # the boundary of a connection: it has been accepted, so a bug can only close it
            told = connection.explain(error)
            return INTERNAL_ERROR, f"{told['code']}: {told['message']}"
        return inbox.ending or (NORMAL_CLOSURE, "")

    @contextmanager
    def _place(self) -> "Iterator[None]":
        if self._open >= self.max_connections:
            raise Unavailable(
                f"{self.max_connections} WebSockets are open, the most that server.websocket_max_connections allows; "
                "close one, or try again later",
                code="overloaded",
            )
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1


def mount(app: "quart.Quart", sockets: Sequence[Socket], dispatcher: SocketDispatcher) -> None:
    """Put them into the application."""
    from quart.asgi import ASGIWebsocketConnection

    class Bounded(ASGIWebsocketConnection):
        """Quart keeps whatever comes in a queue without a bound."""

        def __init__(self, app: "quart.Quart", scope: Any) -> None:
            super().__init__(app, scope)
            scope["state"]["inbox"] = Inbox(2 * dispatcher.dispatcher.max_body_bytes)

        async def handle_messages(self, receive: Any) -> None:
            """Return once the client is gone, which cancels the handler."""
            state: Any = self.scope["state"]
            inbox: Inbox = state["inbox"]
            while (event := await receive())["type"] != "websocket.disconnect":
                if event["type"] == "websocket.receive":
                    text, data = event.get("text"), event.get("bytes")
                    inbox.put(text if text is not None else data or b"")

    app.asgi_websocket_class = Bounded
    for socket in sockets:
        _mount(app, socket, dispatcher)


def _mount(app: "quart.Quart", socket: Socket, dispatcher: SocketDispatcher) -> None:
    async def view(**path_params: str) -> None:
        await dispatcher.answer(socket, path_params)

    app.add_websocket(quart_path(socket.route.path), socket.endpoint, view)
