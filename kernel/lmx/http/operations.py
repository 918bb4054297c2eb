"""Operations: the routes of all surfaces, bound to their plugins, under paths that nobody claims twice."""

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial

from attrs import frozen

from lmx_hookspecs import Context, Request, Response, Route, SurfaceSpec, WebSocket, WebSocketRoute
from lmx_hookspecs.errors import PluginError

PARAMETER = re.compile(r"\{([a-z_][a-z0-9_]*)(:path)?\}")
WEBSOCKET = "WebSocket"
"""Stands where the method of an operation does."""
Call = Callable[[Request], Awaitable[Response]]


@frozen
class Operation:
    """A route that can be called."""

    owner: str
    """The plugin that offers it; `lmx` for the kernel's own."""
    route: Route
    call: Call

    @property
    def endpoint(self) -> str:
        """What the router calls it."""
        return f"{self.route.method} {self.route.path}"


@frozen
class Socket:
    """A WebSocket that can be opened."""

    owner: str
    route: WebSocketRoute
    call: Callable[[WebSocket], Awaitable[None]]

    @property
    def endpoint(self) -> str:
        """What the router calls it."""
        return f"{WEBSOCKET} {self.route.path}"


def operations_of(surfaces: Iterable[tuple[SurfaceSpec, Context]]) -> list[Operation]:
    """The routes of all surfaces, their handlers bound to the context of their plugin."""
    return [
        Operation(context.name, route, partial(route.handler, context))
        for surface, context in surfaces
        for route in _routes(surface, context)
    ]


def sockets_of(surfaces: Iterable[tuple[SurfaceSpec, Context]]) -> list[Socket]:
    """The WebSockets of all surfaces, bound likewise."""
    return [
        Socket(context.name, route, partial(route.handler, context))
        for surface, context in surfaces
        for route in surface.websockets
    ]


def _routes(surface: SurfaceSpec, context: Context) -> Sequence[Route]:
    try:
        return surface.mounted()
    except Exception as error:  # one plugin may break in any way: the server, and the other surfaces, go on
        context.log.error("surface_failed", plugin=context.name, surface=surface.name, exc_info=error)
        return []


def check_unique(operations: Sequence[Operation | Socket]) -> None:
    """Raises PluginError that names both plugins where two claim one method and path."""
    owners: dict[str, str] = {}
    for operation in operations:
        place = PARAMETER.sub("{}", operation.endpoint)
        if place in owners:
            raise PluginError(
                f"{operation.endpoint} is claimed twice, by plugin {owners[place]} and by "
                f"plugin {operation.owner}; disable one of them (plugins.<name>.enabled: false)"
            )
        owners[place] = operation.owner


def path_parameters(path: str) -> list[str]:
    """The names of the `{name}` and `{name:path}` parts."""
    return [match.group(1) for match in PARAMETER.finditer(path)]


def openapi_path(path: str) -> str:
    """`/v1/models/{id:path}` → `/v1/models/{id}`."""
    return PARAMETER.sub(r"{\1}", path)


def quart_path(path: str) -> str:
    """`/v1/models/{id:path}` → `/v1/models/<path:id>`; raises PluginError for what is no path of the contract."""
    rest = PARAMETER.sub("", path)
    if not path.startswith("/") or set(rest) & set("{}<>"):
        raise PluginError(f"{path!r} is no path: it starts with '/', and parameters are {{name}} or {{name:path}}")
    return PARAMETER.sub(lambda match: f"<{'path:' if match.group(2) else ''}{match.group(1)}>", path)
