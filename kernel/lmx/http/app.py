"""Builds the application: the surfaces of all plugins in Quart, behind middlewares and the edge."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lmx.config.schema import Security, Server
from lmx.http.dispatch import Dispatcher
from lmx.http.edge import Edge
from lmx.http.health import MetricsPage, kernel_operations
from lmx.http.operations import Operation, check_unique, operations_of, quart_path
from lmx.http.security import Door, is_loopback, keys
from lmx.http.streaming import OpenRequests
from lmx_hookspecs import Context, Logger, MiddlewareSpec, Services, SurfaceSpec

if TYPE_CHECKING:
    from quart import Quart

PREFLIGHT_MAX_AGE_S = 600


def make_app(
    surfaces: Iterable[tuple[SurfaceSpec, Context]],
    middlewares: Iterable[tuple[MiddlewareSpec, Context]] = (),
    *,
    services: Services,
    server: Server,
    security: Security,
    open_requests: OpenRequests,
    render_metrics: MetricsPage,
    log: Logger,
    version: str,
) -> "Quart":
    """The whole HTTP side, ready to be served; raises PluginError where two plugins claim one route."""
    operations = operations_of(surfaces)
    operations += kernel_operations(
        operations, services, render_metrics, version, metrics_open=is_loopback(server.host)
    )
    check_unique(operations)
    dispatcher = Dispatcher(keys(security.api_keys, security.admin_key), open_requests, log, server.max_body_bytes)
    app = _quart(operations, dispatcher)
    inner: Any = app.asgi_app
    for spec, context in sorted(middlewares, key=lambda pair: pair[0].order, reverse=True):
        inner = spec.wrap(context)(inner)
    app.asgi_app = Edge(inner, _door(server, security), open_requests, log)  # type: ignore[method-assign]
    return app


def _door(server: Server, security: Security) -> Door:
    return Door(
        server.allowed_origins,
        server.allowed_hosts,
        check_host=not (security.api_keys and security.admin_key),
        loopback=is_loopback(server.host),
    )


def _quart(operations: Sequence[Operation], dispatcher: Dispatcher) -> "Quart":
    from quart import Quart

    app = Quart("lmx.http", static_folder=None, template_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = dispatcher.max_body_bytes
    app.config["RESPONSE_TIMEOUT"] = None  # the default cuts a stream after 60 s
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.register_error_handler(Exception, dispatcher.on_error)
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
        f"{route.method} {route.path}",
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
