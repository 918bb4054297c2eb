"""What /v1/chat/stream answers."""

import asyncio
import json

import pytest

from chat_stream_support import HELLO, ask, connected, heard_until, waiting
from http_support import PATIENCE_S, USAGE, FakeServices, quick, said, until
from lmx_hookspecs import Piece, ToolCallDelta
from lmx_hookspecs.errors import ModelNotFound


async def test_an_answer_comes_token_by_token_with_the_id_told_before_the_first() -> None:
    async with connected(FakeServices()) as (_, client):
        await ask(client)
        frames = await heard_until(client, "chat.done")

    assert [frame["type"] for frame in frames] == ["chat.accepted", "chat.token", "chat.token", "chat.done"]
    assert "".join(frame.get("content", "") for frame in frames) == "Hello world"
    assert {frame["request_id"] for frame in frames} == {frames[0]["request_id"]}
    assert frames[0]["request_id"].startswith("chatcmpl-")
    assert frames[-1]["finish_reason"] == "stop"
    assert frames[-1]["usage"]["prompt_tokens"] == USAGE.prompt_tokens


async def test_a_whole_answer_stands_in_the_last_frame() -> None:
    async with connected(FakeServices()) as (_, client):
        await ask(client, stream=False, request_id="mine")
        frames = await heard_until(client, "chat.done")

    assert [(frame["type"], frame["request_id"]) for frame in frames] == [
        ("chat.accepted", "mine"),
        ("chat.done", "mine"),
    ]
    assert frames[-1]["content"] == "Hello world"
    assert frames[-1]["choices"][0]["message"]["content"] == "Hello world"


async def test_every_parameter_of_chat_completions_and_the_headers_reach_the_model() -> None:
    services = FakeServices()
    fields = {
        "temperature": 0.1,
        "top_k": 3,
        "seed": 5,
        "stop": "x",
        "max_tokens": 7,
        "presence_penalty": 1,
        "num_ctx": 1024,
        "response_format": {"type": "json_object"},
    }
    async with connected(services, **{"X-Priority": "low", "X-Client-ID": "me", "X-Timeout": "9"}) as (_, client):
        await ask(client, request_id="r1", **fields)
        await heard_until(client, "chat.done")

    asked = services.asked[0]
    assert (asked.sampling.temperature, asked.sampling.top_k, asked.sampling.seed) == (0.1, 3, 5)
    assert (asked.stop, asked.max_tokens, asked.num_ctx) == (("x",), 7, 1024)
    assert asked.response_format == {"type": "json_object"}
    assert (asked.priority, asked.client, asked.timeout_s, asked.request_id) == ("low", "me", 9.0, "r1")
    assert asked.stream


@pytest.mark.parametrize(
    ("sent", "request_id", "param", "code"),
    [
        ("{", None, None, "invalid_value"),
        ("[]", None, None, "invalid_value"),
        (b"\x00", None, None, "invalid_value"),
        ('{"type": "chat.reqest"}', None, "type", "invalid_value"),
        ('{"type": ["x"]}', None, "type", "invalid_value"),
        ('{"type": "chat.cancel"}', None, "request_id", "invalid_value"),
        ('{"type": "chat.cancel", "request_id": "gone"}', "gone", "request_id", "not_found"),
        ('{"type": "chat.request", "request_id": 3}', None, "request_id", "invalid_value"),
        ('{"type": "chat.request", "request_id": "a", "model": "m"}', "a", "messages", "invalid_value"),
        (json.dumps({**HELLO, "temperature": 9}), None, "temperature", "invalid_value"),
        (json.dumps({**HELLO, "request_id": "b", "colour": "red"}), "b", "colour", "unsupported_parameter"),
    ],
)
async def test_a_bad_frame_is_answered_and_the_connection_goes_on(
    sent: str | bytes, request_id: str | None, param: str | None, code: str
) -> None:
    async with connected(FakeServices()) as (_, client):
        await client.send(sent)
        error = (await heard_until(client, "chat.error"))[-1]
        await ask(client)
        done = (await heard_until(client, "chat.done"))[-1]

    if request_id is not None:
        assert error["request_id"] == request_id
    assert (error["error"]["param"], error["error"]["code"]) == (param, code)
    assert done["finish_reason"] == "stop"


async def test_a_lenient_client_gets_warnings() -> None:
    async with connected(FakeServices(), **{"X-LMX-Lenient": "1"}) as (_, client):
        await ask(client, colour="red")
        done = (await heard_until(client, "chat.done"))[-1]

    assert done["warnings"] == ["colour was dropped: it is not supported"]


async def test_what_the_kernel_refuses_is_an_error_with_the_request_it_belongs_to() -> None:
    services = FakeServices(refused=ModelNotFound("there is no model 'x'", param="model"))
    async with connected(services) as (_, client):
        await ask(client, request_id="a")
        error = (await heard_until(client, "chat.error"))[-1]

    assert (error["request_id"], error["error"]["code"]) == ("a", "model_not_found")


async def test_a_failure_in_the_middle_is_an_error_and_no_end() -> None:
    services = FakeServices(lambda _: [Piece(text="Hel"), ZeroDivisionError("secret")])
    async with connected(services) as (server, client):
        await ask(client)
        frames = await heard_until(client, "chat.error")

    assert [frame["type"] for frame in frames] == ["chat.accepted", "chat.token", "chat.error"]
    assert frames[-1]["error"]["code"] == "internal_error"
    assert "secret" not in json.dumps(frames)
    assert len(server.log.named("websocket_request_failed")) == 1


async def test_several_requests_run_at_once_and_one_more_than_allowed_is_refused() -> None:
    go = asyncio.Event()
    services = FakeServices(waiting(go), config=quick(websocket_max_requests=2))
    async with connected(services) as (_, client):
        for name in ("a", "b", "c"):
            await ask(client, request_id=name)
        refused = (await heard_until(client, "chat.error"))[-1]
        await until(lambda: len(services.generations) == 2)
        await ask(client, request_id="a")
        again = (await heard_until(client, "chat.error"))[-1]
        go.set()
        first = (await heard_until(client, "chat.done"))[-1]
        second = (await heard_until(client, "chat.done"))[-1]

    assert (refused["request_id"], refused["error"]["code"]) == ("c", "rate_limit_exceeded")
    assert (again["request_id"], again["error"]["code"]) == ("a", "conflict")
    assert {first["request_id"], second["request_id"]} == {"a", "b"}


async def test_a_ping_is_answered_while_a_request_runs() -> None:
    services = FakeServices(waiting(asyncio.Event()))
    async with connected(services) as (_, client):
        await ask(client)
        await client.send(json.dumps({"type": "ping", "request_id": "p"}))
        pong = (await heard_until(client, "pong"))[-1]
        await asyncio.wait_for(await client.ping(), PATIENCE_S)

    assert pong == {"type": "pong", "request_id": "p"}


async def test_a_tool_call_comes_whole_and_reasoning_apart() -> None:
    deltas = [
        ToolCallDelta(index=0, id="call_1", name="look", arguments='{"a"'),
        ToolCallDelta(index=0, arguments=": 1}"),
        ToolCallDelta(index=1, id="call_2", name="see", arguments="{}"),
    ]
    pieces = [Piece(tool_calls=[delta]) for delta in deltas]
    services = FakeServices(lambda _: [Piece(reasoning="Hm."), *pieces, Piece(finish_reason="tool_calls", usage=USAGE)])
    async with connected(services) as (_, client):
        await ask(client)
        frames = await heard_until(client, "chat.done")

    assert [frame["type"] for frame in frames[1:]] == ["chat.reasoning", *["chat.tool_call"] * 2, "chat.done"]
    assert [frame["tool_call"] for frame in frames[2:4]] == [
        {"index": 0, "id": "call_1", "name": "look", "arguments": '{"a": 1}'},
        {"index": 1, "id": "call_2", "name": "see", "arguments": "{}"},
    ]
    assert frames[-1]["finish_reason"] == "tool_calls"


async def test_choices_are_told_apart_by_their_index() -> None:
    services = FakeServices(lambda _: [*said("zero"), *said("one", index=1)])
    async with connected(services) as (_, client):
        await ask(client, n=2)
        frames = await heard_until(client, "chat.done")

    assert [(frame["index"], frame["content"]) for frame in frames if frame["type"] == "chat.token"] == [
        (0, "zero"),
        (1, "one"),
    ]
    assert frames[-1]["finish_reasons"] == ["stop", "stop"]
