"""Whatever refuses a request under /v1/messages says so in Anthropic's shape."""

from typing import Any

import httpx
import pytest

from http_support import FakeServices, error_of, serving
from lmx.config.schema import Security
from lmx.config.server import Server
from lmx_anthropic import lmx_surfaces
from lmx_hookspecs import Context, LmxError, MiddlewareSpec, Piece
from lmx_hookspecs.errors import (
    Busy,
    EngineFailed,
    InsufficientMemory,
    InvalidRequest,
    ModelNotFound,
    TimedOut,
    Unavailable,
    UnsupportedParameter,
)
from lmx_hookspecs.http import Asgi, Wrap

ASKED = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
KEY = "k" * 40


def told(response: httpx.Response) -> tuple[int, str]:
    """The status and the type of an error, whose shape every error here has."""
    body = response.json()
    assert set(body) == {"type", "error", "request_id"}
    assert body["type"] == "error"
    assert set(body["error"]) == {"type", "message"}
    assert body["error"]["message"]
    assert body["request_id"] == response.headers["request-id"] == response.headers["x-request-id"]
    return response.status_code, body["error"]["type"]


@pytest.mark.parametrize(
    ("refused", "expected"),
    [
        (UnsupportedParameter("x", param="top_k"), (400, "invalid_request_error")),
        (ModelNotFound("x"), (404, "not_found_error")),
        (Busy("x", retry_after_s=7), (429, "rate_limit_error")),
        (Unavailable("x", code="overloaded"), (529, "overloaded_error")),
        (Unavailable("x", code="model_loading"), (503, "api_error")),
        (EngineFailed("x"), (502, "api_error")),
        (TimedOut("x"), (504, "timeout_error")),
        (InsufficientMemory("x"), (507, "api_error")),
    ],
)
async def test_each_refusal_has_its_type(refused: LmxError, expected: tuple[int, str]) -> None:
    async with serving(surfaces=lmx_surfaces(), services=FakeServices(refused=refused)) as served:
        response = await served.ask("POST", "/v1/messages", json=ASKED)

    assert told(response) == expected


async def test_who_is_told_to_wait_hears_how_long() -> None:
    services = FakeServices(refused=Unavailable("x", code="overloaded", retry_after_s=7))
    async with serving(surfaces=lmx_surfaces(), services=services) as served:
        response = await served.ask("POST", "/v1/messages", json=ASKED)

    assert response.headers["retry-after"] == "7"


async def test_a_bug_is_an_api_error_that_tells_nothing() -> None:
    services = FakeServices(script=lambda _: [RuntimeError("a secret")])
    async with serving(surfaces=lmx_surfaces(), services=services) as served:
        response = await served.ask("POST", "/v1/messages", json=ASKED)

    assert told(response) == (500, "api_error")
    assert "secret" not in response.text


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/v1/messages", (405, "invalid_request_error")),
        ("GET", "/v1/messages/batches", (404, "not_found_error")),
        ("POST", "/v1/messages/nothing/here", (404, "not_found_error")),
    ],
)
async def test_paths_and_methods_that_are_not_there(method: str, path: str, expected: tuple[int, str]) -> None:
    async with serving(surfaces=lmx_surfaces()) as served:
        response = await served.ask(method, path)

    assert told(response) == expected


async def test_a_body_that_is_no_json_and_one_that_is_too_large() -> None:
    async with serving(surfaces=lmx_surfaces(), server=Server(max_body_bytes=1024)) as served:
        broken = await served.ask("POST", "/v1/messages", content=b'{"model": ')
        large = await served.ask("POST", "/v1/messages", json={**ASKED, "system": "x" * 2048})

    assert told(broken) == (400, "invalid_request_error")
    assert told(large) == (413, "request_too_large")


async def test_a_wrong_key_is_an_authentication_error_and_either_header_lets_in() -> None:
    security = Security(api_keys=[KEY])
    async with serving(surfaces=lmx_surfaces(), security=security) as served:
        wrong = await served.ask("POST", "/v1/messages", json=ASKED, headers={"x-api-key": "wrong"})
        ours = await served.ask("POST", "/v1/messages", json=ASKED, headers={"x-api-key": KEY})
        bearer = await served.ask("POST", "/v1/messages", json=ASKED, headers={"authorization": f"Bearer {KEY}"})

    assert told(wrong) == (401, "authentication_error")
    assert (ours.status_code, bearer.status_code) == (200, 200)


async def test_a_foreign_origin_is_a_permission_error_of_the_outermost_layer() -> None:
    async with serving(surfaces=lmx_surfaces()) as served:
        response = await served.ask("POST", "/v1/messages", json=ASKED, headers={"origin": "https://evil.example"})

    assert told(response) == (403, "permission_error")


async def test_what_a_middleware_refuses_has_the_shape_too() -> None:
    def wrap(_: Context) -> Wrap:
        def around(_: Asgi) -> Asgi:
            async def refuse(*_: Any) -> None:
                raise Unavailable("memory is short; try again", code="overloaded")

            return refuse

        return around

    async with serving(surfaces=lmx_surfaces(), middlewares=[MiddlewareSpec(name="shed", wrap=wrap)]) as served:
        here = await served.ask("POST", "/v1/messages", json=ASKED)
        elsewhere = await served.ask("POST", "/v1/messagesandmore", json=ASKED)

    assert told(here) == (529, "overloaded_error")
    assert error_of(elsewhere)["code"] == "overloaded"


async def test_other_paths_keep_the_openai_shape() -> None:
    async with serving(surfaces=lmx_surfaces()) as served:
        response = await served.ask("POST", "/v1/nothing")

    assert error_of(response)["code"] == "not_found"


async def test_an_engine_that_stops_half_way_is_an_error() -> None:
    services = FakeServices(script=lambda _: [Piece(text="Hel", tokens=1)])
    async with serving(surfaces=lmx_surfaces(), services=services) as served:
        response = await served.ask("POST", "/v1/messages", json=ASKED)

    assert told(response) == (502, "api_error")


async def test_a_client_that_wants_its_conversation_kept_is_told_to_send_it_whole() -> None:
    async with serving(surfaces=lmx_surfaces()) as served:
        response = await served.ask("POST", "/v1/messages", json={**ASKED, "thread": {"type": "create"}})

    error = response.json()["error"]
    assert (response.status_code, error["type"]) == (400, "invalid_request_error")
    assert error["details"] == {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}


async def test_a_conversation_that_is_to_be_continued_is_refused_even_to_lenient_clients() -> None:
    thread = {"type": "continue", "previous_message_id": "msg_1"}
    async with serving(surfaces=lmx_surfaces()) as served:
        continued, created = [
            await served.ask(
                "POST",
                "/v1/messages",
                headers={"X-LMX-Lenient": "1"},
                json={**ASKED, "thread": {**thread, "type": kind}},
            )
            for kind in ("continue", "create")
        ]

    assert (continued.status_code, created.status_code) == (400, 200)
    assert continued.json()["error"]["details"]["unsupported"] == ["thread"]


@pytest.mark.parametrize("stream", [False, True])
async def test_what_a_model_refuses_is_called_as_this_api_calls_it(stream: bool) -> None:
    error = InvalidRequest("response_format: the schema cannot be enforced", param="response_format")
    for services in (FakeServices(refused=error), FakeServices(lambda _: [error])):
        async with serving(surfaces=lmx_surfaces(), services=services) as served:
            response = await served.ask("POST", "/v1/messages", json={**ASKED, "stream": stream})

        assert told(response) == (400, "invalid_request_error")
        assert response.json()["error"]["message"] == "output_config.format: the schema cannot be enforced"
