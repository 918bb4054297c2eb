from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from attrs import define, field

import lmx_ratelimit
from http_support import Served, error_of, serving
from kernel_support import Clock
from lmx.config.schema import Security
from lmx_hookspecs import (
    Describable,
    JsonResponse,
    MiddlewareSpec,
    Reconfigurable,
    Request,
    Response,
    Route,
    StreamResponse,
)
from lmx_hookspecs.errors import Busy
from lmx_hookspecs.testing import FakeContext, check_plugin
from lmx_ratelimit.config import KeyLimits, RateLimitConfig
from lmx_ratelimit.limiter import Limiter, limiter_of

ONE = RateLimitConfig(requests_per_minute=1)
KEYS = Security(api_keys=["first", "second"])


async def answer(_: Any, __: Request) -> Response:
    return JsonResponse(body={"done": True})


async def refuse(_: Any, __: Request) -> Response:
    raise Busy("the queue is full; try again later", retry_after_s=7)


async def stream(_: Any, __: Request) -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"data: 1\n\n"
        yield b"data: 2\n\n"

    return StreamResponse(chunks=chunks())


ROUTES = [
    Route(method="POST", path="/v1/work", handler=answer, summary="work"),
    Route(method="POST", path="/v1/full", handler=refuse, summary="a full queue"),
    Route(method="POST", path="/v1/stream", handler=stream, summary="a stream", streams=True),
    Route(method="POST", path="/open", handler=answer, summary="work for anybody", auth="open"),
    Route(method="POST", path="/admin/work", handler=answer, summary="an operator's", auth="admin"),
]


@define(eq=False)
class Limited:
    """A limiter with a clock that a test moves, and a server behind it."""

    config: RateLimitConfig
    security: Security = field(factory=Security)
    clock: Clock = field(factory=Clock)
    context: FakeContext = field(init=False)
    limiter: Limiter = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.context = FakeContext(config=self.config)
        self.limiter = limiter_of(self.context)
        self.limiter.clock = self.clock

    def completes(self, prompt_tokens: int, completion_tokens: int, *, estimated: int = 0, **whose: str | None) -> None:
        """A generation ends."""
        facts = {"key": None, "client": None, "estimated_prompt_tokens": estimated, **whose}
        usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
        self.context.services.events.publish("request_completed", {**facts, **usage})

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Served]:
        spec = MiddlewareSpec(name="ratelimit", wrap=lambda _: self.limiter)
        async with serving(*ROUTES, middlewares=[spec], security=self.security) as server:
            yield server


async def work(server: Served, path: str = "/v1/work", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await server.ask("POST", path, headers=named)


def test_the_plugin_keeps_the_contract() -> None:
    check_plugin(lmx_ratelimit)


async def test_without_limits_nothing_is_counted_and_nothing_said() -> None:
    limited = Limited(RateLimitConfig())

    async with limited.serving() as server:
        answers = [await work(server) for _ in range(3)]

    assert {answer.status_code for answer in answers} == {200}
    assert not any("ratelimit" in answer.headers for answer in answers)
    assert limited.limiter.describe()["accounts"] == 0


async def test_a_request_too_many_is_refused_and_let_in_when_the_time_it_was_told_has_passed() -> None:
    limited = Limited(ONE)

    async with limited.serving() as server:
        first, refused = await work(server), await work(server)
        limited.clock.now_s += int(refused.headers["retry-after"])
        later = await work(server)

    assert (first.status_code, refused.status_code, later.status_code) == (200, 429, 200)
    assert error_of(refused)["code"] == "rate_limit_exceeded"
    assert refused.headers["retry-after"] == "60"
    assert refused.headers["ratelimit"] == '"requests";r=0;t=60'
    assert limited.context.services.metrics.instruments["lmx_rate_limited_requests"].values == {
        (("limit", "requests"),): [1]
    }


async def test_a_refusal_costs_nothing() -> None:
    limited = Limited(ONE)

    async with limited.serving() as server:
        for _ in range(5):
            last = await work(server)

    assert last.headers["retry-after"] == "60"
    assert limited.limiter.describe()["refused"] == 4


@pytest.mark.parametrize(("path", "status"), [("/v1/stream", 200), ("/v1/full", 429), ("/open", 200)])
async def test_streams_and_errors_of_others_say_what_is_left_too(path: str, status: int) -> None:
    limited = Limited(RateLimitConfig(requests_per_minute=10))

    async with limited.serving() as server:
        answer = await work(server, path)

    assert answer.status_code == status
    assert answer.headers["x-ratelimit-remaining-requests"] == "9"
    assert answer.headers.get("retry-after") == ("7" if status == 429 else None)


async def test_keys_do_not_share_a_limit_and_a_wrong_one_is_told_so() -> None:
    limited = Limited(RateLimitConfig(requests_per_minute=1, keys={"key-2": KeyLimits()}), KEYS)

    async with limited.serving() as server:
        first = [(await work(server, authorization="Bearer first")).status_code for _ in range(2)]
        second = [(await work(server, x_api_key="second")).status_code for _ in range(2)]
        wrong = [(await work(server, x_api_key="third")).status_code for _ in range(2)]

    assert (first, second, wrong) == ([200, 429], [200, 200], [401, 401])


async def test_a_client_label_that_is_none_is_told_so() -> None:
    async with Limited(ONE).serving() as server:
        answer = await work(server, x_client_id="x" * 200)

    assert (answer.status_code, error_of(answer)["param"]) == (400, "X-Client-ID")


async def test_operators_and_health_are_never_limited() -> None:
    limited = Limited(ONE)

    async with limited.serving() as server:
        await work(server)
        admin = [(await work(server, "/admin/work")).status_code for _ in range(3)]
        health = [(await server.ask("GET", path)).status_code for path in ("/healthz", "/readyz", "/metrics")]
        nowhere = await server.ask("GET", "/nowhere")

    assert (admin, health, nowhere.status_code) == ([200] * 3, [200] * 3, 404)


async def test_tokens_are_charged_when_they_are_known_and_a_debt_delays_the_next_request() -> None:
    limited = Limited(RateLimitConfig(tokens_per_minute=60))

    async with limited.serving() as server:
        first = await work(server, x_client_id="a")
        limited.completes(50, 49, client="a")
        refused = await work(server, x_client_id="a")
        other = await work(server, x_client_id="b")
        limited.clock.now_s += 40
        later = await work(server, x_client_id="a")

    assert (first.status_code, refused.status_code, other.status_code, later.status_code) == (200, 429, 200, 200)
    assert first.headers["x-ratelimit-remaining-tokens"] == "60"
    assert refused.headers["retry-after"] == "40"
    assert "tokens per minute" in error_of(refused)["message"]


async def test_a_prompt_that_nobody_counted_is_charged_as_it_is_estimated() -> None:
    limited = Limited(RateLimitConfig(tokens_per_minute=60))

    async with limited.serving() as server:
        await work(server)
        limited.completes(0, 1, estimated=98)
        refused = await work(server)

    assert refused.headers["retry-after"] == "40"


async def test_no_single_request_leaves_a_debt_of_more_than_an_hour() -> None:
    limited = Limited(RateLimitConfig(tokens_per_minute=60))

    async with limited.serving() as server:
        await work(server)
        limited.completes(0, 10**12)
        refused = await work(server)

    assert refused.headers["retry-after"] == "3601"


async def test_tokens_are_charged_to_the_key_and_not_to_the_label() -> None:
    limited = Limited(RateLimitConfig(tokens_per_minute=60), KEYS)

    async with limited.serving() as server:
        await work(server, x_api_key="first", x_client_id="a")
        limited.completes(0, 100, key="key-1", client="a")
        refused = await work(server, x_api_key="first", x_client_id="b")

    assert refused.status_code == 429


async def test_what_the_server_asks_itself_opens_no_account() -> None:
    limited = Limited(RateLimitConfig(tokens_per_minute=60))

    limited.completes(10, 10)

    assert limited.limiter.describe()["accounts"] == 0


async def test_limits_come_and_go_with_the_configuration() -> None:
    limited = Limited(RateLimitConfig())

    async with limited.serving() as server:
        await work(server)
        limited.limiter.reconfigure(ONE)
        statuses = [(await work(server)).status_code for _ in range(2)]
        described = limited.limiter.describe()
        limited.limiter.reconfigure(RateLimitConfig())
        after = await work(server)

    assert (statuses, after.status_code) == ([200, 429], 200)
    assert (described["requests_per_minute"], described["latest"]) == (1, {"anonymous": {"requests": 0.0}})
    assert isinstance(limited.limiter, Reconfigurable)
    assert isinstance(limited.limiter, Describable)


async def test_what_is_no_request_passes() -> None:
    passed = []

    async def app(scope: Mapping[str, Any], *_: Any) -> None:
        passed.append(scope["type"])

    await Limited(ONE).limiter(app)({"type": "lifespan"}, None, None)

    assert passed == ["lifespan"]
