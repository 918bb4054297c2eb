"""What the kernel itself answers: health, readiness, metrics, the OpenAPI document, and where to look."""

from collections.abc import Callable, Sequence
from typing import Any

from attrs import define

from lmx.http.openapi import document
from lmx.http.operations import Call, Operation, Socket
from lmx_hookspecs import JsonResponse, Request, Response, Route, Services, TextResponse
from lmx_hookspecs.http import Auth

MetricsPage = Callable[[], str | bytes]
PROMETHEUS_TEXT = "text/plain; version=0.0.4; charset=utf-8"
OWNER = "lmx"
ROOT = "/"
RETRY_AFTER_S = "5"
"""The header field of a server that is not ready yet."""


@define(eq=False)
class KernelAnswers:
    """The handlers of the kernel's own routes."""

    services: Services
    render_metrics: MetricsPage
    version: str
    operations: Sequence[Operation] = ()
    sockets: Sequence[Socket] = ()

    async def root(self, _: Request) -> Response:
        """Where to look."""
        return JsonResponse(
            body={"name": "LMX", "version": self.version, "openapi": "/openapi.json", "health": "/readyz"}
        )

    async def healthz(self, _: Request) -> Response:
        """The process answers."""
        return JsonResponse(body={"status": "ok", "version": self.version})

    async def readyz(self, _: Request) -> Response:
        """Whether the server should get traffic."""
        health = await self.services.health.ready()
        if not health.ok:
            body = {"status": "unavailable", "reason": health.detail}
            return JsonResponse(body=body, status=503, headers={"Retry-After": RETRY_AFTER_S})
        return JsonResponse(body={"status": "ready", "version": self.version, **health.facts})

    async def metrics(self, _: Request) -> Response:
        """The Prometheus page, in the format that every scraper reads."""
        page = self.render_metrics()
        return TextResponse(body=page if isinstance(page, str) else page.decode(), content_type=PROMETHEUS_TEXT)

    async def openapi(self, _: Request) -> Response:
        """The OpenAPI document of everything that is mounted."""
        return JsonResponse(body=document(self.operations, self.version, self.sockets))


def kernel_operations(
    mounted: Sequence[Operation],
    services: Services,
    render_metrics: MetricsPage,
    version: str,
    *,
    metrics_open: bool,
    sockets: Sequence[Socket] = (),
) -> list[Operation]:
    """The kernel's own operations, beside those of the plugins."""
    answers = KernelAnswers(services, render_metrics, version)
    own = [
        _operation(ROOT, answers.root, "Name, version, and where to look"),
        _operation("/healthz", answers.healthz, "Whether the process answers"),
        _operation("/readyz", answers.readyz, "Whether the server should get traffic"),
        _operation(
            "/metrics",
            answers.metrics,
            "Prometheus metrics",
            auth="open" if metrics_open else "admin",
            content_type="text/plain",
        ),
        _operation("/openapi.json", answers.openapi, "This document"),
    ]
    taken = {operation.endpoint for operation in mounted}
    if f"GET {ROOT}" in taken:  # a surface whose clients look for something else there
        own = [operation for operation in own if operation.route.path != ROOT]
    answers.operations, answers.sockets = [*mounted, *own], sockets
    return own


def _operation(path: str, call: Call, summary: str, auth: Auth = "open", **facts: Any) -> Operation:
    async def handler(_: Any, request: Request) -> Response:
        return await call(request)

    route = Route(method="GET", path=path, handler=handler, summary=summary, auth=auth, shed=False, **facts)
    return Operation(OWNER, route, call)
