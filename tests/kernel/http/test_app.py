from typing import Any

import pytest
from attrs import frozen

from http_support import FakeContext, FakeServices, error_of, serving
from lmx.http.operations import check_unique, operations_of, quart_path
from lmx_hookspecs import JsonResponse, MiddlewareSpec, Request, Response, Route, SurfaceSpec, TextResponse, option
from lmx_hookspecs.errors import Busy, NotFound, PluginError


async def echo(_: Any, request: Request) -> Response:
    return JsonResponse(
        body={
            "id": request.id,
            "path": dict(request.path_params),
            "query": dict(request.query),
            "client": request.client,
            "priority": request.priority,
            "timeout_s": request.timeout_s,
            "lenient": request.lenient,
        },
        status=201,
        headers={"X-Extra": "yes"},
    )


async def text(_: Any, __: Request) -> Response:
    return TextResponse(body="grüß dich")


async def busy(_: Any, __: Request) -> Response:
    raise Busy("the queue is full", retry_after_s=3.2)


async def bug(_: Any, __: Request) -> Response:
    raise ZeroDivisionError("the secret is 42")


async def novel(_: Any, __: Request) -> Response:
    raise NotFound("no such collection", code="collection_not_found", param="collection")


def route(path: str, handler: Any = echo, method: Any = "GET") -> Route:
    return Route(method=method, path=path, handler=handler, summary="x")


ROUTES = (
    route("/things/{id:path}"),
    route("/one/{name}/more"),
    route("/post", method="POST"),
    route("/text", text),
    route("/busy", busy),
    route("/bug", bug),
    route("/novel", novel),
)


async def test_a_handler_sees_the_request_and_its_answer_is_sent() -> None:
    headers = {"X-Client-ID": "cli", "X-Priority": "HIGH", "X-Timeout": "2.5", "X-LMX-Lenient": "1"}

    async with serving(*ROUTES) as server:
        answer = await server.ask("GET", "/things/org%2Fa%20b/c?x=1&x=2&y=", headers=headers)

    assert answer.status_code == 201
    assert answer.headers["x-extra"] == "yes"
    assert answer.json() == {
        "id": answer.headers["x-request-id"],
        "path": {"id": "org/a b/c"},
        "query": {"x": "2", "y": ""},
        "client": "cli",
        "priority": "high",
        "timeout_s": 2.5,
        "lenient": True,
    }


async def test_text_is_sent_as_utf8() -> None:
    async with serving(*ROUTES) as server:
        answer = await server.ask("GET", "/text")

    assert answer.text == "grüß dich"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("headers", "param"),
    [
        ({"X-Priority": "urgent"}, "X-Priority"),
        ({"X-Timeout": "0"}, "X-Timeout"),
        ({"X-Timeout": "soon"}, "X-Timeout"),
        ({"X-Timeout": "nan"}, "X-Timeout"),
        ({"X-Client-ID": "x" * 129}, "X-Client-ID"),
    ],
)
async def test_headers_that_make_no_sense_are_refused(headers: dict[str, str], param: str) -> None:
    async with serving(*ROUTES) as server:
        answer = await server.ask("GET", "/things/1", headers=headers)

    assert (answer.status_code, error_of(answer)["param"]) == (400, param)


async def test_an_unknown_path_is_404_and_a_wrong_method_405_with_allow() -> None:
    async with serving(*ROUTES) as server:
        unknown = await server.ask("GET", "/v2/chat")
        below = await server.ask("GET", "/one/a/b/more")
        wrong = await server.ask("PUT", "/post")
        head = await server.ask("HEAD", "/post")

    assert (unknown.status_code, error_of(unknown)["code"]) == (404, "not_found")
    assert below.status_code == 404
    assert (wrong.status_code, error_of(wrong)["code"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "OPTIONS, POST"
    assert (head.status_code, head.content) == (405, b"")


async def test_head_is_get_without_the_body() -> None:
    async with serving(*ROUTES) as server, server.client() as client:
        head = await client.head("/text")
        get = await client.get("/text")

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"] == str(len(get.content))


async def test_options_answers_what_is_allowed() -> None:
    async with serving(*ROUTES) as server:
        known = await server.ask("OPTIONS", "/things/1")
        unknown = await server.ask("OPTIONS", "/nothing")

    assert (known.status_code, known.headers["allow"], known.content) == (204, "GET, HEAD, OPTIONS", b"")
    assert "content-length" not in known.headers
    assert unknown.status_code == 404


async def test_a_trailing_slash_changes_nothing() -> None:
    async with serving(*ROUTES) as server:
        answer = await server.ask("GET", "/text/")

    assert answer.status_code == 200


async def test_a_deliberate_error_is_answered_from_the_table() -> None:
    async with serving(*ROUTES) as server:
        answer = await server.ask("GET", "/busy")
        novel_answer = await server.ask("GET", "/novel")

    assert (answer.status_code, error_of(answer)["code"], answer.headers["retry-after"]) == (
        429,
        "rate_limit_exceeded",
        "4",
    )
    assert (novel_answer.status_code, error_of(novel_answer)["param"]) == (404, "collection")


async def test_a_bug_is_a_generic_500_and_its_details_are_in_the_log() -> None:
    async with serving(*ROUTES) as server:
        answer = await server.ask("GET", "/bug")

    error = error_of(answer)
    assert (answer.status_code, error["code"], error["type"]) == (500, "internal_error", "internal_server_error")
    assert "42" not in answer.text
    assert isinstance(server.log.named("request_failed")[0]["exc_info"], ZeroDivisionError)


def marking(name: str, order: int) -> MiddlewareSpec:
    def wrap(_: Any) -> Any:
        def around(app: Any) -> Any:
            async def marked(scope: Any, receive: Any, send: Any) -> None:
                scope["state"].setdefault("marks", []).append(name)
                await app(scope, receive, send)

            return marked

        return around

    return MiddlewareSpec(name=name, wrap=wrap, order=order)


async def test_of_middlewares_the_lowest_order_is_outermost() -> None:
    seen: list[str] = []

    def wrap(_: Any) -> Any:
        def around(app: Any) -> Any:
            async def last(scope: Any, receive: Any, send: Any) -> None:
                seen.extend(scope["state"]["marks"])
                await app(scope, receive, send)

            return last

        return around

    middlewares = [marking("inner", 60), MiddlewareSpec(name="last", wrap=wrap, order=99), marking("outer", 10)]
    async with serving(*ROUTES, middlewares=middlewares) as server:
        answer = await server.ask("GET", "/text")

    assert answer.status_code == 200
    assert seen == ["outer", "inner"]


async def test_a_broken_middleware_is_a_500_like_any_other_bug() -> None:
    def wrap(_: Any) -> Any:
        def around(_: Any) -> Any:
            async def broken(*_: Any) -> None:
                raise RuntimeError("middleware")

            return broken

        return around

    async with serving(*ROUTES, middlewares=[MiddlewareSpec(name="broken", wrap=wrap)]) as server:
        answer = await server.ask("GET", "/text")

    assert (answer.status_code, error_of(answer)["code"]) == (500, "internal_error")


def test_two_plugins_cannot_claim_one_route() -> None:
    surfaces = [
        (SurfaceSpec(name="s", routes=[route("/v1/{id}")]), FakeContext(FakeServices(), name="first")),
        (SurfaceSpec(name="t", routes=[route("/v1/{name:path}")]), FakeContext(FakeServices(), name="second")),
    ]

    with pytest.raises(PluginError, match="plugin first and by plugin second"):
        check_unique(operations_of(surfaces))


@pytest.mark.parametrize("path", ["v1/models", "/v1/<id>", "/v1/{id:int}", "/v1/{}"])
def test_a_path_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(PluginError, match="is no path"):
        quart_path(path)


@frozen(kw_only=True)
class Page:
    limit: int = option(5, ge=1, le=9)


async def page(_: Any, request: Request) -> Response:
    return JsonResponse(body={"limit": request.parameters.limit})


async def test_query_parameters_are_validated_against_the_route_s_class() -> None:
    paged = Route(method="GET", path="/page", handler=page, summary="x", query=Page)

    async with serving(paged) as server:
        taken = await server.ask("GET", "/page?limit=7")
        refused = await server.ask("GET", "/page?limit=10")

    assert taken.json() == {"limit": 7}
    assert (refused.status_code, error_of(refused)["param"]) == (400, "limit")


@pytest.mark.parametrize("path", ["/things//etc", "/things/%2Fetc"])
async def test_a_rest_that_begins_with_a_slash_reaches_the_handler(path: str) -> None:
    async with serving(*ROUTES) as server:
        answer = await server.ask("GET", path)

    assert answer.json()["path"] == {"id": "/etc"}


async def test_routes_may_be_made_when_the_server_is_built() -> None:
    late = SurfaceSpec(name="late", routes=[route("/early")], late_routes=lambda: [route("/late")])

    async with serving(surfaces=[late]) as server:
        answers = [await server.ask("GET", path) for path in ("/early", "/late")]

    assert [answer.status_code for answer in answers] == [201, 201]


async def test_a_surface_whose_routes_cannot_be_made_is_left_out() -> None:
    def broken() -> list[Route]:
        raise ImportError("no module named 'antigravity'")

    async with serving(*ROUTES, surfaces=[SurfaceSpec(name="broken", late_routes=broken)]) as server:
        answer = await server.ask("GET", "/text")

    assert answer.status_code == 200
    assert [facts["surface"] for facts in server.log.named("surface_failed")] == ["broken"]
