"""What middlewares may know of a request before it reaches its route."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import define

from lmx.http import requests
from lmx.http.access import Access
from lmx.http.operations import Operation, Socket, path_parameters
from lmx.http.security import ApiKey
from lmx_hookspecs import Route, WebSocketRoute

if TYPE_CHECKING:
    from werkzeug.routing import Map

KEYED = frozenset({"api", "any_key"})
RouteOf = Callable[[Mapping[str, Any]], Route | WebSocketRoute | None]
"""From an ASGI scope to the route that will answer it; None where that is not one of a surface."""


@define(eq=False)
class Arrival:
    """The contract's Arrival; nothing is looked up before somebody asks, and the key only once."""

    scope: Mapping[str, Any]
    headers: Mapping[str, str]
    access: Access
    route_of: RouteOf
    _route: Route | WebSocketRoute | None = None
    _routed: bool = False
    _api_key: ApiKey | None = None
    _authenticated: bool = False

    @property
    def route(self) -> Route | WebSocketRoute | None:
        """Where it is going."""
        if not self._routed:
            self._route, self._routed = self.route_of(self.scope), True
        return self._route

    @property
    def sheddable(self) -> bool:
        """Work that may be refused."""
        return self.route is not None and self.route.shed and self.route.auth != "admin"

    @property
    def key(self) -> str | None:
        """The name of its API key, where its route needs one; raises Unauthorized."""
        if self.route is None or self.route.auth not in KEYED:
            return None
        api_key = self.api_key()
        return api_key.name if api_key else None

    @property
    def client(self) -> str | None:
        """Its own label; raises InvalidRequest."""
        return requests.client_of(self.headers)

    def api_key(self) -> ApiKey | None:
        """The key that was sent; None while none is needed, or where the admin key was. Raises as its route does."""
        if not self._authenticated:
            keys = self.access.keys
            check = keys.check_any if self.route is not None and self.route.auth == "any_key" else keys.check_api
            self._api_key, self._authenticated = check(self.headers), True
        return self._api_key


def routes_by_scope(url_map: "Map", operations: Sequence[Operation | Socket]) -> RouteOf:
    """Asks the router that they are mounted on, so that nothing is matched otherwise here than there.

    A path that a route spells out is found without it: the router too takes such a route before one with parameters.
    """
    from werkzeug.exceptions import HTTPException

    by_endpoint = {operation.endpoint: operation.route for operation in operations}
    spelt_out: dict[tuple[Any, str], Route] = {
        (route.method, route.path): route
        for route in by_endpoint.values()
        if isinstance(route, Route) and not path_parameters(route.path)
    }
    router = url_map.bind("localhost")

    def route_of(scope: Mapping[str, Any]) -> Route | WebSocketRoute | None:
        found = spelt_out.get((scope.get("method"), scope["path"]))  # a WebSocket's scope has no method
        if found is not None:
            return found
        try:
            endpoint, _ = router.match(scope["path"], scope.get("method"), websocket=scope["type"] == "websocket")
        except HTTPException:  # 404, 405, a redirect
            return None
        return by_endpoint.get(endpoint)

    return route_of
