"""WebSockets: routes as data, and one connection as a handler sees it; never a framework's type."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, Protocol, runtime_checkable

from attrs import frozen

from lmx_hookspecs.context import Context
from lmx_hookspecs.envelope import Envelope

NORMAL_CLOSURE = 1000
GOING_AWAY = 1001
POLICY_VIOLATION = 1008
INTERNAL_ERROR = 1011
"""Close codes (RFC 6455, 7.4.1)."""


@frozen
class Validated:
    """An instance of a body's class, and the top-level fields that the class does not know."""

    value: Any
    unknown: Mapping[str, Any]


class WebSocket(Envelope, Protocol):
    """An authenticated connection that has been accepted. The handler is cancelled once the client is gone."""

    async def receive(self) -> str | bytes | None:
        """The next message; None once no more are taken, because the server stops or the client sends too fast.

        Let what still runs end then, and return: the kernel closes with the proper code. Only one task may wait here.
        """

    async def send(self, text: str) -> None:
        """Send a message; waits while the client is slow. Any task may send, and messages never mix."""

    async def close(self, code: int = NORMAL_CLOSURE, reason: str = "") -> None:
        """Close; a no-op afterwards. Returning from the handler closes as well."""

    async def admit(self) -> None:
        """Ask the middlewares that are a Gate whether one more request may come; raises what they raise."""

    def decode(self, text: str) -> dict[str, Any]:
        """A message that is a JSON object, read as strictly as a body; raises InvalidRequest."""

    def validate(self, data: Mapping[str, Any], cls: type, *, allow_unknown: bool = False) -> Validated:
        """Plain data as an instance of an attrs class, as a route's `body` is; raises InvalidRequest with `param`."""

    def explain(self, raised: Exception) -> Mapping[str, Any]:
        """The error in the OpenAI shape, `{"message", "type", "param", "code"}`; of a bug only the log has more."""


@frozen(kw_only=True)
class WebSocketRoute:
    """A WebSocket; `path` is written as in a Route. Refusals are HTTP answers, before anything was accepted."""

    path: str
    handler: Callable[[Context, WebSocket], Awaitable[None]]
    summary: str
    auth: Literal["open", "api", "admin"] = "api"
    shed: bool = True
    """As in a Route; for the opening request, and for each that `admit` asks for."""


@runtime_checkable
class Gate(Protocol):
    """What a MiddlewareSpec's `wrap` makes may have this method too: requests over a WebSocket do not pass its ASGI."""

    async def admit(self, scope: Mapping[str, Any]) -> None:
        """Count one more request of the WebSocket with this ASGI scope, or raise the LmxError that refuses it."""
