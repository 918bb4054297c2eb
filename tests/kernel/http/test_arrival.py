from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from attrs import define, field

from http_support import error_of, serving
from lmx.config.schema import Security
from lmx.http.security import Keys
from lmx_hookspecs import JsonResponse, LmxError, MiddlewareSpec, Request, Response, Route, arrival_of
from lmx_hookspecs.errors import Busy

KEYS = Security(api_keys=["secret"], admin_key="admin")


async def answer(_: Any, request: Request) -> Response:
    return JsonResponse(body={"key": request.key})


ROUTES = [
    Route(method="POST", path="/v1/work", handler=answer, summary="x"),
    Route(method="GET", path="/v1/items/{id:path}", handler=answer, summary="x"),
    Route(method="GET", path="/v1/items/free", handler=answer, summary="x", shed=False),
    Route(method="POST", path="/v1/free", handler=answer, summary="x", shed=False),
    Route(method="POST", path="/open", handler=answer, summary="x", auth="open"),
    Route(method="POST", path="/admin/work", handler=answer, summary="x", auth="admin"),
]


@define(eq=False)
class Asking:
    """A middleware that asks for facts of each request."""

    names: Sequence[str]
    seen: list[Any] = field(factory=list)

    @property
    def spec(self) -> MiddlewareSpec:
        return MiddlewareSpec(name="asking", wrap=lambda _: self._around)

    def _around(self, app: Any) -> Any:
        async def ask(scope: Mapping[str, Any], receive: Any, send: Any) -> None:
            self.seen.append([getattr(arrival_of(scope), name) for name in self.names])
            await app(scope, receive, send)

        return ask


async def seen(path: str, *names: str, method: str = "POST", **options: Any) -> list[Any]:
    asking = Asking(names)
    async with serving(*ROUTES, middlewares=[asking.spec], security=KEYS) as server:
        await server.ask(method, path, **options)
    (facts,) = asking.seen
    return list(facts)


@pytest.mark.parametrize(
    ("method", "path", "sheddable"),
    [
        ("POST", "/v1/work", True),
        ("POST", "/v1/work/", True),
        ("GET", "/v1/items/some/thing%20here", True),
        ("HEAD", "/v1/items/a", True),
        ("GET", "/v1/items/free", False),
        ("HEAD", "/v1/items/free", False),
        ("POST", "/open", True),
        ("POST", "/v1/free", False),
        ("POST", "/admin/work", False),
        ("OPTIONS", "/v1/work", False),
        ("GET", "/v1/work", False),
        ("GET", "/nowhere", False),
        ("GET", "/healthz", False),
        ("GET", "/readyz", False),
        ("GET", "/metrics", False),
        ("GET", "/openapi.json", False),
    ],
)
async def test_a_middleware_knows_whether_a_route_may_be_refused(method: str, path: str, sheddable: bool) -> None:
    assert await seen(path, "sheddable", method=method) == [sheddable]


@pytest.mark.parametrize(("path", "key"), [("/v1/work", "key-1"), ("/open", None), ("/admin/work", None)])
async def test_a_middleware_knows_whose_key_was_sent_where_one_is_needed(path: str, key: str | None) -> None:
    headers = {"Authorization": "Bearer secret", "X-Client-ID": "bot"}

    assert await seen(path, "key", "client", headers=headers) == [key, "bot"]


@pytest.mark.parametrize(
    ("names", "headers", "status", "code"),
    [
        (["key"], {}, 401, "invalid_api_key"),
        (["key"], {"x-api-key": "wrong"}, 401, "invalid_api_key"),
        (["client"], {"X-Client-ID": "x" * 200}, 400, "invalid_value"),
    ],
)
async def test_what_the_route_would_refuse_is_refused_the_same_way_when_a_middleware_asks(
    names: list[str], headers: dict[str, str], status: int, code: str
) -> None:
    async with serving(*ROUTES, middlewares=[Asking(names).spec], security=KEYS) as server:
        refused = await server.ask("POST", "/v1/work", headers=headers)

    assert (refused.status_code, error_of(refused)["code"]) == (status, code)


async def test_a_request_is_authenticated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    checks: list[Any] = []
    monkeypatch.setattr(Keys, "check_api", lambda _, headers: checks.append(headers))

    async with serving(*ROUTES, middlewares=[Asking(["key", "key"]).spec], security=KEYS) as server:
        answered = await server.ask("POST", "/v1/work")

    assert (answered.status_code, len(checks)) == (200, 1)


async def test_an_error_of_a_middleware_is_an_answer_with_its_header_fields() -> None:
    refusal = Busy("too much; try again later", retry_after_s=3, headers={"X-Left": "0"})

    async with _raising(refusal) as server:
        refused = await server.ask("POST", "/v1/work")

    assert (refused.status_code, error_of(refused)["code"]) == (429, "rate_limit_exceeded")
    assert (refused.headers["retry-after"], refused.headers["x-left"]) == ("3", "0")
    assert server.log.named("request_failed") == []


async def test_an_error_that_has_no_status_is_a_bug_of_the_middleware() -> None:
    async with _raising(LmxError("something odd")) as server:
        refused = await server.ask("POST", "/v1/work")

    assert (refused.status_code, error_of(refused)["code"]) == (500, "internal_error")
    assert len(server.log.named("request_failed")) == 1


def _raising(error: LmxError) -> Any:
    def around(_: Any) -> Any:
        async def refuse(*_: Any) -> None:
            raise error

        return refuse

    return serving(*ROUTES, middlewares=[MiddlewareSpec(name="raising", wrap=lambda _: around)])
