"""API surfaces: routes as data, so that the kernel can authenticate, validate and document them all alike."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

from attrs import field, frozen

from lmx_hookspecs.context import Context
from lmx_hookspecs.generation import Priority


class Request(Protocol):
    """An authenticated request whose body has been validated against the route's `body` type."""

    @property
    def id(self) -> str:
        """The `X-Request-ID` that the answer will carry."""

    @property
    def body(self) -> Any:
        """An instance of the route's `body` class; None for a route without one."""

    @property
    def unknown(self) -> Mapping[str, Any]:
        """Top-level fields of the body that its class does not know, for routes with `allow_unknown`."""

    @property
    def path_params(self) -> Mapping[str, str]:
        """Values of the `{name}` and `{name:path}` parts of the route's path, decoded."""

    @property
    def query(self) -> Mapping[str, str]:
        """Query parameters; the last of a repeated one."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Request headers, names in lower case."""

    @property
    def key(self) -> str | None:
        """Name of the API key that was used; None where none is required."""

    @property
    def client(self) -> str | None:
        """The client's own label: `X-Client-ID`."""

    @property
    def priority(self) -> Priority:
        """`X-Priority`, lowered to what the key allows."""

    @property
    def timeout_s(self) -> float | None:
        """`X-Timeout` in seconds."""

    @property
    def lenient(self) -> bool:
        """True with the header `X-LMX-Lenient: 1`."""


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

    The status is sent with the first chunk: raise before returning this to answer with another.
    """

    chunks: AsyncIterator[bytes]
    """Has an `aclose()` that frees everything, called even where no chunk was ever asked for."""
    status: int = 200
    content_type: str = "text/event-stream"
    headers: Mapping[str, str] = field(factory=dict)
    failure: Callable[[Mapping[str, Any]], bytes] | None = None
    """Makes the last chunk of a stream that breaks (`chunks` raised, or the server stops) from the error in the OpenAI
    shape, `{"error": {"message", "type", "param", "code"}}`. None cuts the connection."""


Response = JsonResponse | TextResponse | StreamResponse
Handler = Callable[[Context, Request], Awaitable[Response]]
Auth = Literal["open", "api", "admin"]


@frozen(kw_only=True)
class Route:
    """One operation. `path` may hold `{name}` (one segment) and `{name:path}` (the rest)."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    handler: Handler
    summary: str
    body: type | None = None
    """attrs class of the JSON body: its fields, validators and `option` ranges are the validation."""
    answer: type | None = None
    """attrs class that documents the JSON answer; None for text, streams and free-form objects."""
    auth: Auth = "api"
    shed: bool = True
    """May be refused when the server is overloaded; False for health, metrics and what frees memory."""
    allow_unknown: bool = False
    """Unknown top-level fields reach the handler in `request.unknown` instead of being a 400."""
    streams: bool = False
    """The answer may be `text/event-stream`; for the OpenAPI document."""


@frozen(kw_only=True)
class SurfaceSpec:
    """An API surface: routes that the kernel mounts, guards and documents."""

    name: str
    routes: Sequence[Route]


Asgi = Callable[..., Awaitable[None]]


@frozen(kw_only=True)
class MiddlewareSpec:
    """Raw ASGI around the whole application; the lowest `order` is outermost."""

    name: str
    wrap: Callable[[Context], Callable[[Asgi], Asgi]]
    order: int = 50
