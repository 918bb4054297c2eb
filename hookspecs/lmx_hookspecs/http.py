"""API surfaces: routes as data, so that the kernel can authenticate, validate and document them all alike."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from attrs import field, frozen

from lmx_hookspecs.context import Context
from lmx_hookspecs.envelope import Envelope
from lmx_hookspecs.websockets import WebSocketRoute


@frozen(kw_only=True)
class UploadedFile:
    """A file of a `multipart/form-data` body, on disk until the request has been answered."""

    field: str
    """Of the form."""
    name: str
    """What its sender calls it: a label, never a place."""
    media_type: str
    path: Path
    size_bytes: int


class Request(Envelope, Protocol):
    """An authenticated request whose body has been validated against the route's `body` type."""

    @property
    def body(self) -> Any:
        """An instance of the route's `body` class; None for a route without one."""

    @property
    def unknown(self) -> Mapping[str, Any]:
        """Top-level fields of the body that its class does not know, for routes with `allow_unknown`."""

    @property
    def parameters(self) -> Any:
        """An instance of the route's `query` class; None for a route without one."""

    @property
    def files(self) -> Sequence[UploadedFile]:
        """What was uploaded, in the order of the form; empty for routes without `max_files`."""


@frozen(kw_only=True)
class JsonResponse:
    """Plain data, sent as JSON."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(factory=dict)


@frozen(kw_only=True)
class TextResponse:
    """Text, sent as it is."""

    body: str
    status: int = 200
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(factory=dict)


@frozen(kw_only=True)
class StreamResponse:
    """Bytes as they come; the kernel closes the iterator when the client goes away or the server stops.

    The status is sent before the first chunk: raise before returning this, or in `opening`, to answer with another.
    """

    chunks: AsyncIterator[bytes]
    """Has an `aclose()` that frees everything, called even where no chunk was ever asked for."""
    status: int = 200
    content_type: str = "text/event-stream"
    headers: Mapping[str, str] | Callable[[], Mapping[str, str]] = field(factory=dict)
    """A function is asked for them after `opening`, when they are about to be sent."""
    opening: Callable[[], Awaitable[None]] | None = None
    """Awaited before the status is sent, and cancelled where that takes longer than `server.headers_after_s`: for the
    first chunk, say, so that a failure before it is answered with a status of its own."""
    failure: Callable[[Mapping[str, Any]], bytes] | None = None
    """Makes the last chunk of a stream that breaks (`chunks` raised, or the server stops) from the error in the OpenAI
    shape, `{"error": {"message", "type", "param", "code"}}`. None cuts the connection."""
    endless: bool = False
    """Goes on for as long as the client listens, so a server that stops ends it at once instead of waiting for it."""


Response = JsonResponse | TextResponse | StreamResponse
Handler = Callable[[Context, Request], Awaitable[Response]]
Auth = Literal["open", "api", "admin", "any_key"]
"""`any_key`: once keys of either kind are set, an API key or the admin key."""


def imported_handler(module: str, name: str) -> Handler:
    """The handler of that name, whose module the first request imports: listing the plugins must not pay for it."""

    @cache
    def imported() -> Handler:
        handler: Handler = getattr(import_module(module), name)
        return handler

    async def handle(ctx: Context, request: Request) -> Response:
        return await imported()(ctx, request)

    return handle


@frozen(kw_only=True)
class Route:
    """One operation. `path` may hold `{name}` (one segment) and `{name:path}` (the rest)."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    handler: Handler
    summary: str
    body: type | None = None
    """attrs class of the JSON body: its fields, validators and `option` ranges are the validation. No body at all is
    an empty one."""
    query: type | None = None
    """attrs class of the query parameters (text, numbers, booleans), validated like a body; None takes any."""
    answer: Any = None
    """attrs class, or a sequence of one, that documents the JSON answer; None for text, streams, free-form objects."""
    answers: Mapping[int, Any] = field(factory=dict)
    """The same for answers with other statuses; with these and no `answer`, there is no 200."""
    auth: Auth = "api"
    shed: bool = True
    """May be refused when the server is overloaded, or its client above a limit; False for health, metrics, and what
    frees memory. Routes with `auth="admin"` never are."""
    allow_unknown: bool = False
    """Unknown top-level fields reach the handler in `request.unknown` instead of being a 400."""
    max_files: int = 0
    """Files that a `multipart/form-data` body may carry, together up to `server.max_upload_bytes`; then its other
    fields make the `body`: one whose type is not text is read as JSON. JSON bodies are taken as well."""
    streams: bool = False
    """The answer may be `text/event-stream`; for the OpenAPI document."""
    content_type: str = "application/json"
    """Of the answer; for the OpenAPI document."""


@frozen(kw_only=True)
class ErrorShape:
    """How errors look at `path` and below it, in place of the OpenAI shape: those of the kernel and middlewares too."""

    path: str
    answer: Callable[[Mapping[str, Any], int, str], JsonResponse]
    """Makes the answer from the error in the OpenAI shape, its status, and the request's id; the kernel adds header
    fields such as `Retry-After`."""


@frozen(kw_only=True)
class SurfaceSpec:
    """An API surface: routes that the kernel mounts, guards and documents."""

    name: str
    routes: Sequence[Route] = ()
    late_routes: Callable[[], Sequence[Route]] | None = None
    """Makes further routes when the server is built: listing the plugins need not wait for their classes."""
    errors: Sequence[ErrorShape] = ()
    open: Callable[[Context], Any] | None = None
    """Makes what the handlers share, which `ctx.part(name)` gives them; it may also be Startable, Describable and
    Reconfigurable."""
    websockets: Sequence[WebSocketRoute] = ()

    def mounted(self) -> Sequence[Route]:
        """All routes."""
        return [*self.routes, *(self.late_routes() if self.late_routes else ())]


Asgi = Callable[..., Awaitable[None]]
Wrap = Callable[[Asgi], Asgi]
"""Takes what is inside, and returns what stands around it."""


class Arrival(Protocol):
    """What the kernel knows of a request before it reaches its route; looked up when it is asked for, and once."""

    @property
    def sheddable(self) -> bool:
        """Whether it may be refused for the server's sake: its route is there, has `shed`, and is no operator's."""

    @property
    def key(self) -> str | None:
        """Name of the API key that was sent, None where none is needed; raises Unauthorized, as the route will."""

    @property
    def client(self) -> str | None:
        """`X-Client-ID`; raises InvalidRequest, as the route will, for one that is no label."""


def arrival_of(scope: Mapping[str, Any]) -> Arrival:
    """What a middleware may know of the request, or WebSocket, whose ASGI scope this is."""
    arrival: Arrival = scope["state"]["arrival"]
    return arrival


@runtime_checkable
class Describable(Protocol):
    """What is made once and lives long may have this method too: `/admin/stack` shows what it says."""

    def describe(self) -> Mapping[str, Any]:
        """What it does now, as plain data."""


@frozen(kw_only=True)
class MiddlewareSpec:
    """Raw ASGI around the whole application; the lowest `order` is outermost.

    `wrap` makes an object that is called once with what is inside; it may also be Describable, Reconfigurable and a
    Gate. The services `metrics` and `events` are there by then. What the call returns may raise an LmxError before it
    has sent anything: then that is the answer.
    """

    name: str
    wrap: Callable[[Context], Wrap]
    order: int = 50
