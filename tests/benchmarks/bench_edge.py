"""What the shedder and the rate limiter cost a request.

    python tests/benchmarks/bench_edge.py [--requests 2000] [--rounds 40]

Prints the time that each adds to a request that it lets through, or takes to refuse one: that of the quickest round,
which was disturbed the least. Where the route and the API key have to be known, they are looked up among 50 and 10.
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from http_support import FakeServices, RecordingLog
from lmx.config.schema import Security
from lmx.config.server import Server
from lmx.http.access import Access, access_of
from lmx.http.app import make_app
from lmx.http.arrival import Arrival, RouteOf
from lmx.http.streaming import OpenRequests
from lmx.metrics import PrometheusMetrics
from lmx_hookspecs import JsonResponse, LmxError, Request, Response, Route, SurfaceSpec
from lmx_hookspecs.testing import FakeContext
from lmx_hookspecs.testing import FakeServices as PluginServices
from lmx_ratelimit.config import RateLimitConfig
from lmx_ratelimit.limiter import limiter_of
from lmx_shedder.config import ShedderConfig
from lmx_shedder.shedder import shedder_of

App = Callable[[dict[str, Any], Any, Any], Awaitable[None]]
KEYS = Security(api_keys=[f"key-{number}" for number in range(10)])
HEADERS = {"authorization": "Bearer key-9", "content-type": "application/json"}
ROUTES = 50
START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}
BODY = {"type": "http.response.body", "body": b"{}"}


async def handler(_: Any, __: Request) -> Response:
    return JsonResponse(body={})


async def app(_: Any, __: Any, send: Callable[[Any], Awaitable[None]]) -> None:
    """The least that an application does."""
    await send(START)
    await send(BODY)


async def receive() -> Mapping[str, Any]:
    return {"type": "http.request"}


async def send(_: Any) -> None:
    return


def router(access: Access) -> RouteOf:
    """That of a real application with so many routes."""
    routes = [Route(method="POST", path=f"/v1/route-{n}", handler=handler, summary="x") for n in range(ROUTES)]
    routes.append(Route(method="POST", path="/v1/chat/completions", handler=handler, summary="x"))
    log = RecordingLog()
    context: Any = FakeContext()
    built: Any = make_app(
        [(SurfaceSpec(name="bench", routes=routes), context)],
        services=FakeServices(),  # type: ignore[arg-type]  # nobody asks it
        server=Server(),
        security=KEYS,
        open_requests=OpenRequests(),
        render_metrics=lambda: "",
        log=log,
        version="0",
        access=access,
    )
    route_of: RouteOf = built.asgi_app.route_of
    return route_of


def context_of(config: Any) -> Any:
    return FakeContext(config=config, services=PluginServices(metrics=PrometheusMetrics()))  # type: ignore[arg-type]


def cases() -> Mapping[str, App]:
    """What stands around the application in each case."""
    shed_all = ShedderConfig(shed_above_percent=50, resume_below_percent=40)
    high = RateLimitConfig(requests_per_minute=1_000_000, tokens_per_minute=1_000_000_000, burst_s=86_400)
    return {
        "nothing": app,
        "shedder, no pressure": shedder_of(context_of(ShedderConfig()), lambda: 20.0)(app),
        "shedder, refuses": shedder_of(context_of(shed_all), lambda: 60.0)(app),
        "rate limiter, no limits": limiter_of(context_of(RateLimitConfig()))(app),
        "rate limiter, both limits": limiter_of(context_of(high))(app),
        "rate limiter, refuses": limiter_of(context_of(RateLimitConfig(requests_per_minute=1)))(app),
    }


async def seconds_per_request(around: App, requests: int, access: Access, route_of: RouteOf) -> float:
    async def one() -> None:
        scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "state": {}}
        scope["state"]["arrival"] = Arrival(scope, HEADERS, access, route_of)
        with suppress(LmxError):
            await around(scope, receive, send)

    await one()
    began = perf_counter()
    for _ in range(requests):
        await one()
    return (perf_counter() - began) / requests


async def measure(requests: int, rounds: int) -> dict[str, list[float]]:
    access = access_of(Server(), KEYS)
    route_of = router(access)
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, around in cases().items():
            times.setdefault(name, []).append(await seconds_per_request(around, requests, access, route_of))
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=40)
    args = parser.parse_args()
    times = asyncio.run(measure(args.requests, args.rounds))
    bare = min(times.pop("nothing"))
    for name, seconds in times.items():
        print(f"{name:<28}{(min(seconds) - bare) * 1e6:>7.2f} µs a request")


if __name__ == "__main__":
    main()
