"""The surface over a real socket with scripted services: what a running engine does not show on demand."""

import asyncio
import json
from typing import Any

import pytest

import lmx_ollama
from http_support import HASTY, USAGE, FakeServices, error_of, serving
from lmx_hookspecs import Piece
from lmx_hookspecs.errors import Busy, EngineFailed, InvalidRequest
from lmx_hookspecs.testing import check_plugin

SURFACES = list(lmx_ollama.lmx_surfaces())
CHAT: dict[str, Any] = {"model": "real-model", "messages": [{"role": "user", "content": "hi"}]}


def test_the_plugin_keeps_the_contract() -> None:
    check_plugin(lmx_ollama)


async def test_a_failure_before_the_first_piece_has_a_status() -> None:
    services = FakeServices(lambda _: [EngineFailed("the engine died")])
    async with serving(surfaces=SURFACES, services=services) as server:
        answer = await server.ask("POST", "/api/chat", json=CHAT)

    assert (answer.status_code, answer.json()) == (502, {"error": "the engine died"})
    assert services.generations[0].closed.is_set()


async def test_a_failure_in_the_middle_is_the_last_line() -> None:
    services = FakeServices(lambda _: [Piece(text="Hel"), EngineFailed("the engine died")])
    async with serving(surfaces=SURFACES, services=services) as server:
        answer = await server.ask("POST", "/api/chat", json=CHAT)

    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert answer.status_code == 200
    assert lines[0]["message"]["content"] == "Hel"
    assert lines[-1] == {"error": "the engine died"}
    assert len(lines) == 2


async def test_a_busy_server_says_when_to_come_back() -> None:
    services = FakeServices(refused=Busy("the queue is full", retry_after_s=3))
    async with serving(surfaces=SURFACES, services=services) as server:
        answer = await server.ask("POST", "/api/chat", json=CHAT)

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
    assert answer.json() == {"error": "the queue is full"}


async def test_a_client_that_goes_away_ends_the_generation() -> None:
    services = FakeServices(lambda _: [Piece(text="Hel"), asyncio.Event()])
    async with serving(surfaces=SURFACES, services=services) as server, server.client() as client:
        async with client.stream("POST", "/api/chat", json=CHAT) as answer:
            await anext(answer.aiter_lines())
        await asyncio.wait_for(services.generations[0].closed.wait(), 20)


async def test_a_slow_first_piece_does_not_hold_the_headers_back() -> None:
    go = asyncio.Event()
    services = FakeServices(lambda _: [go, Piece(text="late", finish_reason="stop", usage=USAGE)])
    async with (
        serving(surfaces=SURFACES, services=services, server=HASTY) as server,
        server.client() as client,
        client.stream("POST", "/api/chat", json=CHAT) as answer,
    ):
        status = answer.status_code
        go.set()
        lines = [json.loads(line) async for line in answer.aiter_lines()]

    assert status == 200
    assert [line["done"] for line in lines] == [False, True]
    assert lines[-1]["prompt_eval_count"] == USAGE.prompt_tokens


async def test_other_paths_keep_their_errors() -> None:
    async with serving(surfaces=SURFACES) as server:
        answer = await server.ask("GET", "/v1/nothing")

    assert error_of(answer)["code"] == "not_found"


@pytest.mark.parametrize(
    "function",
    [
        None,
        {},
        {"name": 5},
        {"name": "get weather"},
        {"name": "f", "parameters": []},
        {"name": "f", "parameters": {"properties": "x"}},
    ],
)
async def test_a_tool_that_is_no_function_with_a_schema_is_refused(function: Any) -> None:
    services = FakeServices(lambda _: [Piece(text="yes", finish_reason="stop", usage=USAGE)])
    async with serving(surfaces=SURFACES, services=services) as server:
        answer = await server.ask("POST", "/api/chat", json={**CHAT, "tools": [{"function": function}]})

    assert answer.status_code == 400
    assert "tools[0]" in answer.json()["error"]
    assert services.asked == []


@pytest.mark.parametrize("stream", [False, True])
async def test_what_a_model_refuses_is_called_as_this_api_calls_it(stream: bool) -> None:
    error = InvalidRequest("max_tokens is 9; ask for less", param="max_tokens")
    for services in (FakeServices(refused=error), FakeServices(lambda _: [error])):
        async with serving(surfaces=SURFACES, services=services) as server:
            answer = await server.ask("POST", "/api/chat", json={**CHAT, "stream": stream})

        assert (answer.status_code, answer.json()) == (400, {"error": "options.num_predict is 9; ask for less"})
