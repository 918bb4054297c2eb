"""Streams, event by event, as they come over a socket."""

import asyncio
import json
from typing import Any

from httpx_sse import aconnect_sse

from http_support import FakeServices, Served, Step, quick, said, serving
from lmx.config.server import Server
from lmx_anthropic import lmx_surfaces
from lmx_hookspecs import Piece, ToolCallDelta, Usage
from lmx_hookspecs.errors import EngineFailed, Unavailable

ASKED = {"model": "m", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
USAGE = Usage(prompt_tokens=5, completion_tokens=3, cached_tokens=4, reasoning_tokens=1)
END = Piece(finish_reason="stop", usage=USAGE)


async def events(served: Served, **fields: Any) -> list[tuple[str, dict[str, Any]]]:
    """Each event's name and data; the two name the same type."""
    async with (
        served.client() as client,
        aconnect_sse(client, "POST", "/v1/messages", json={**ASKED, **fields}) as source,
    ):
        found = [(sse.event, json.loads(sse.data)) async for sse in source.aiter_sse()]
    assert all(name == data["type"] for name, data in found)
    return found


async def streamed(*script: Step, **fields: Any) -> list[tuple[str, dict[str, Any]]]:
    async with serving(surfaces=lmx_surfaces(), services=FakeServices(script=lambda _: list(script))) as served:
        return await events(served, **fields)


async def test_a_text_has_every_event_in_order() -> None:
    found = await streamed(*said("Hello", " world"))

    assert [name for name, _ in found] == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    message = found[0][1]["message"]
    assert message["id"].startswith("msg_")
    assert (message["role"], message["model"], message["content"]) == ("assistant", "real-model", [])
    assert (message["stop_reason"], message["stop_sequence"]) == (None, None)
    assert found[1][1] == {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "text", "text": ""},
    }
    assert [data["delta"]["text"] for name, data in found if name == "content_block_delta"] == ["Hello", " world"]
    assert found[-2][1]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert found[-2][1]["usage"] == {
        "input_tokens": 4,
        "output_tokens": 2,
        "cache_read_input_tokens": 1,
        "cache_creation_input_tokens": 0,
    }


async def test_the_beginning_tells_the_prompts_tokens_where_the_engine_has_counted_them() -> None:
    found = await streamed(Piece(prompt_tokens=5), Piece(text="Hi", tokens=1), END)

    assert found[0][1]["message"]["usage"]["input_tokens"] == 5
    assert found[-2][1]["usage"]["input_tokens"] == 1
    assert found[-2][1]["usage"]["cache_read_input_tokens"] == 4


async def test_thought_text_and_two_calls_are_blocks_of_their_own() -> None:
    found = await streamed(
        Piece(reasoning="Let me ", tokens=1),
        Piece(reasoning="look.", tokens=1),
        Piece(text="Looking.", tokens=1),
        Piece(tool_calls=[ToolCallDelta(index=0, id="call_a", name="look", arguments="")]),
        Piece(tool_calls=[ToolCallDelta(index=0, arguments='{"at":'), ToolCallDelta(index=0, arguments=' "\\u00e9"}')]),
        Piece(tool_calls=[ToolCallDelta(index=1, id="call_b", name="wait")]),
        Piece(finish_reason="tool_calls", usage=USAGE),
    )

    blocks = [data["content_block"] for name, data in found if name == "content_block_start"]
    assert blocks == [
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "text", "text": ""},
        {"type": "tool_use", "id": "call_a", "name": "look", "input": {}},
        {"type": "tool_use", "id": "call_b", "name": "wait", "input": {}},
    ]
    deltas = [(data["index"], data["delta"]["type"]) for name, data in found if name == "content_block_delta"]
    assert deltas == [
        (0, "thinking_delta"),
        (0, "thinking_delta"),
        (0, "signature_delta"),
        (1, "text_delta"),
        (2, "input_json_delta"),
        (2, "input_json_delta"),
    ]
    assert [data["index"] for name, data in found if name == "content_block_stop"] == [0, 1, 2, 3]
    assert json.loads("".join(data["delta"].get("partial_json", "") for name, data in found if "delta" in data)) == {
        "at": "é"
    }
    assert found[-2][1]["delta"]["stop_reason"] == "tool_use"
    assert found[-2][1]["usage"]["output_tokens_details"] == {"thinking_tokens": 1}


async def test_a_thought_that_is_not_to_be_shown_leaves_its_signature_only() -> None:
    thinking = {"type": "adaptive", "display": "omitted"}
    found = await streamed(Piece(reasoning="secret", tokens=1), Piece(text="Hi", tokens=1), END, thinking=thinking)

    assert "secret" not in json.dumps(found)
    assert [data["delta"]["type"] for name, data in found if name == "content_block_delta"] == [
        "signature_delta",
        "text_delta",
    ]


async def test_an_empty_answer_has_a_beginning_and_an_end() -> None:
    found = await streamed(END)

    assert [name for name, _ in found] == ["message_start", "message_delta", "message_stop"]


async def test_the_stop_sequence_that_was_hit_is_named() -> None:
    found = await streamed(Piece(text="Hi", tokens=1), Piece(finish_reason="stop", stop="###", usage=USAGE))

    assert found[-2][1]["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": "###"}


async def test_a_failure_in_mid_stream_is_the_last_event() -> None:
    found = await streamed(Piece(text="Hi", tokens=1), EngineFailed("the engine died on this request"))

    name, data = found[-1]
    assert name == "error"
    assert data["error"] == {"type": "api_error", "message": "the engine died on this request"}
    assert data["request_id"]
    assert "message_stop" not in [name for name, _ in found]


async def test_a_server_that_becomes_overloaded_in_mid_stream_says_so() -> None:
    found = await streamed(Piece(text="Hi", tokens=1), Unavailable("memory is short", code="overloaded"))

    assert found[-1][1]["error"]["type"] == "overloaded_error"


async def test_an_engine_that_just_ends_is_a_failure() -> None:
    found = await streamed(Piece(text="Hi", tokens=1))

    assert found[-1][0] == "error"


async def test_an_engine_that_goes_back_to_an_earlier_call_is_a_failure() -> None:
    found = await streamed(
        Piece(tool_calls=[ToolCallDelta(index=0, id="a", name="x"), ToolCallDelta(index=1, id="b", name="y")]),
        Piece(tool_calls=[ToolCallDelta(index=0, arguments="{}")]),
        END,
    )

    assert found[-1][0] == "error"


async def test_a_failure_before_the_first_piece_has_a_status() -> None:
    services = FakeServices(script=lambda _: [Unavailable("memory is short", code="overloaded")])
    async with serving(surfaces=lmx_surfaces(), services=services) as served:
        response = await served.ask("POST", "/v1/messages", json=ASKED)

    assert response.status_code == 529
    assert response.json()["error"]["type"] == "overloaded_error"


async def test_silence_is_filled_with_comments_before_the_message_and_with_pings_within() -> None:
    more, last = asyncio.Event(), asyncio.Event()
    services = FakeServices(
        script=lambda _: [more, Piece(text="Hi", tokens=1), last, END],
        config=quick(sse_heartbeat_interval_sec=0.01),
    )
    hasty = Server(headers_after_s=0.01, shutdown_grace_s=2.0)
    seen = ""
    async with (
        serving(surfaces=lmx_surfaces(), services=services, server=hasty) as served,
        served.client() as client,
        client.stream("POST", "/v1/messages", json=ASKED) as response,
    ):
        async for text in response.aiter_text():
            seen += text
            if ": ping\n" in seen:
                more.set()
            if seen.count("event: ping\n") >= 2:  # the first one belongs to the block
                last.set()

    names = [line.removeprefix("event: ") for line in seen.splitlines() if line.startswith("event: ")]
    assert names[0] == "message_start"
    assert names[-1] == "message_stop"
    assert names.count("ping") >= 2


async def test_a_client_that_goes_away_ends_the_generation() -> None:
    never = asyncio.Event()
    services = FakeServices(script=lambda _: [Piece(text="Hi", tokens=1), never, END])
    async with serving(surfaces=lmx_surfaces(), services=services) as served:
        async with served.client() as client, client.stream("POST", "/v1/messages", json=ASKED) as response:
            await anext(response.aiter_raw())
        async with asyncio.timeout(20):
            await services.generations[0].closed.wait()


async def test_warnings_stand_in_the_events_before_the_last() -> None:
    services = FakeServices(script=lambda _: said("Hi"), warnings=["something was dropped"])
    async with serving(surfaces=lmx_surfaces(), services=services) as served:
        found = await events(served)

    assert found[-2][1]["warnings"] == ["something was dropped"]


async def test_the_answer_names_its_request_and_who_answers() -> None:
    async with (
        serving(surfaces=lmx_surfaces()) as served,
        served.client() as client,
        client.stream("POST", "/v1/messages", json=ASKED) as response,
    ):
        await response.aread()

    assert response.headers["request-id"] == response.headers["x-request-id"]
    assert response.headers["x-lmx-served-by"] == "fake/real-model"
    assert response.headers["content-type"] == "text/event-stream"
