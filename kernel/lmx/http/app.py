"""Builds the application: the surfaces of all plugins in Quart, behind middlewares and the edge."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmx.config.schema import Security
from lmx.config.server import Server
from lmx.http import errors
from lmx.http.access import Access, access_of
from lmx.http.arrival import routes_by_scope
from lmx.http.dispatch import Dispatcher
from lmx.http.edge import Edge
from lmx.http.health import MetricsPage, kernel_operations
from lmx.http.operations import Operation, check_unique, operations_of, quart_path, sockets_of
from lmx.http.security import is_loopback
from lmx.http.sockets import SocketDispatcher, mount
from lmx.http.streaming import OpenRequests
from lmx.http.uploads import UploadFolder, Uploads
from lmx_hookspecs import Context, Gate, Logger, Services, SurfaceSpec
from lmx_hookspecs.http import Wrap

if TYPE_CHECKING:
    from quart import Quart

PREFLIGHT_MAX_AGE_S = 600


def make_app(
    surfaces: Iterable[tuple[SurfaceSpec, Context]],
    middlewares: Sequence[Wrap] = (),
    *,
    services: Services,
    server: Server,
    security: Security,
    open_requests: OpenRequests,
    render_metrics: MetricsPage,
    log: Logger,
    version: str,
    access: Access | None = None,
    uploads: Path | None = None,
) -> "Quart":
    """The whole HTTP side, ready to be served; raises PluginError where two plugins claim one route.

    The first of `middlewares` is outermost. `access` is what lets requests in, where the caller wants to change it
    later; else it comes from the sections. `uploads` is where uploaded files lie; None is with the
    system's temporary ones.
    """
    surfaces = list(surfaces)
    shapes = errors.Shapes([shape for surface, _ in surfaces for shape in surface.errors])
    operations, sockets = operations_of(surfaces), sockets_of(surfaces) if server.websocket_enabled else []
    operations += kernel_operations(
        operations, services, render_metrics, version, metrics_open=is_loopback(server.host), sockets=sockets
    )
    check_unique([*operations, *sockets])
    access = access or access_of(server, security)
    received = Uploads(UploadFolder(uploads), server.max_upload_bytes, server.max_body_bytes)
    dispatcher = Dispatcher(access, open_requests, log, server.max_body_bytes, server.headers_after_s, received, shapes)
    app = _quart(operations, dispatcher)
    made: Sequence[object] = middlewares
    gates = [one for one in made if isinstance(one, Gate)]
    mount(app, sockets, SocketDispatcher(dispatcher, gates, server.websocket_max_connections))
    inner: Any = app.asgi_app
    for wrap in reversed(middlewares):
        inner = wrap(inner)
    route_of = routes_by_scope(app.url_map, [*operations, *sockets])
    app.asgi_app = Edge(inner, access, open_requests, log, route_of, shapes)  # type: ignore[method-assign]
    return app


def _quart(operations: Sequence[Operation], dispatcher: Dispatcher) -> "Quart":
    from quart import Quart
    from werkzeug.routing import PathConverter

    from lmx.http.connection import Connection

    class Rest(PathConverter):
        """Werkzeug's own passes over a rest that begins with a slash; ours reaches the handler, which says why not."""

        part_isolating = False
        regex = ".+?"

    app = Quart("lmx.http", static_folder=None, template_folder=None)
    app.asgi_http_class = Connection
    app.config["MAX_CONTENT_LENGTH"] = dispatcher.max_body_bytes
    app.config["RESPONSE_TIMEOUT"] = None  # the default cuts a stream after 60 s
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.url_map.converters["path"] = Rest
    app.register_error_handler(Exception, dispatcher.on_error)
    app.before_serving(partial(asyncio.to_thread, dispatcher.uploads.folder.sweep))
    app.after_serving(partial(asyncio.to_thread, dispatcher.uploads.folder.close))
    for operation in operations:
        _mount(app, operation, dispatcher)
    for path, methods in _methods_by_path(operations).items():
        _mount_options(app, path, methods)
    return app


def _mount(app: "Quart", operation: Operation, dispatcher: Dispatcher) -> None:
    async def view(**path_params: str) -> Any:
        return await dispatcher.answer(operation, path_params)

    route = operation.route
    app.add_url_rule(
        quart_path(route.path),
        operation.endpoint,
        view,
        methods=[route.method],
        provide_automatic_options=False,
    )


def _mount_options(app: "Quart", path: str, methods: Sequence[str]) -> None:
    from quart import Response, request

    allowed = ", ".join(methods)

    async def view(**_: str) -> Response:
        headers = {"Allow": allowed}
        if "access-control-request-method" in request.scope["state"]["headers"]:
            headers["Access-Control-Allow-Methods"] = allowed
            headers["Access-Control-Allow-Headers"] = request.headers.get("Access-Control-Request-Headers", "*")
            headers["Access-Control-Max-Age"] = str(PREFLIGHT_MAX_AGE_S)
        response = Response(b"", 204, headers)
        del response.headers["Content-Type"], response.headers["Content-Length"]
        return response

    app.add_url_rule(path, f"OPTIONS {path}", view, methods=["OPTIONS"], provide_automatic_options=False)


def _methods_by_path(operations: Sequence[Operation]) -> Mapping[str, Sequence[str]]:
    found: dict[str, set[str]] = {}
    for operation in operations:
        method = operation.route.method
        found.setdefault(quart_path(operation.route.path), {"OPTIONS"}).update(
            {method, "HEAD"} if method == "GET" else {method}
        )
    return {path: sorted(methods) for path, methods in found.items()}
