"""Every event of a stream, in order, numbered, and in the shape that the SDK's own types insist on."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from http_support import HASTY, FakeServices, Step, until
from lmx.config.server import Server
from lmx_hookspecs import GenerationRequest, Piece, TokenLogprob, ToolCallDelta, Usage
from lmx_hookspecs.errors import EngineFailed
from lmx_responses.objects import COMPLETED
from lmx_responses.store import Store
from responses_support import BODY, URL, events_of, ids_in, make, responding, types_of

STRICT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
USAGE = Usage(prompt_tokens=5, completion_tokens=9, cached_tokens=1, reasoning_tokens=2)
CREATED = ["created", "in_progress"]
TEXT_ITEM = ["output_item.added", "content_part.added"]
TEXT_DONE = ["output_text.done", "content_part.done", "output_item.done"]
TOOL: dict[str, Any] = {"type": "function", "name": "f", "parameters": {}, "strict": None}


def scripted(*steps: Step) -> FakeServices:
    def script(_: GenerationRequest) -> Iterable[Step]:
        return steps

    return FakeServices(script=script)


def call(index: int, *fragments: str) -> list[Piece]:
    first = ToolCallDelta(index=index, id=f"call_{index}", name="f")
    return [
        Piece(tool_calls=[first]),
        *(Piece(tool_calls=[ToolCallDelta(index=index, arguments=x)]) for x in fragments),
    ]


def end(reason: Any = "stop") -> Piece:
    return Piece(finish_reason=reason, usage=USAGE)


async def stream(*steps: Step, **fields: Any) -> list[dict[str, Any]]:
    async with responding(scripted(*steps)) as server:
        events = await events_of(server, json={**BODY, "stream": True, **fields})
    for event in events:
        STRICT.validate_python(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


async def test_text_is_one_item_with_one_part() -> None:
    events = await stream(Piece(text="Hel"), Piece(text="lo"), end())

    assert types_of(events) == [
        *CREATED,
        *TEXT_ITEM,
        "output_text.delta",
        "output_text.delta",
        *TEXT_DONE,
        "completed",
    ]
    item = events[-1]["response"]["output"][0]
    assert (item["status"], item["content"][0]["text"]) == (COMPLETED, "Hello")
    assert {event["item_id"] for event in events if "item_id" in event} == {item["id"]}
    assert events[2]["item"]["status"] == "in_progress"
    assert events[2]["item"]["content"] == []
    assert events[-2]["item"] == item
    assert events[-4]["text"] == "Hello"
    assert events[-1]["response"]["usage"] == {
        "input_tokens": 5,
        "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 14,
    }


async def test_reasoning_text_and_calls_are_items_of_their_own_in_order() -> None:
    steps = [Piece(reasoning="So"), Piece(text="Well."), *call(0, '{"a', '": 1}'), *call(1, "{}"), end("tool_calls")]

    events = await stream(*steps, tools=[TOOL])

    call_events = ["output_item.added", "function_call_arguments.delta", "function_call_arguments.done"]
    assert types_of(events) == [
        *CREATED,
        *TEXT_ITEM,
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
        *TEXT_ITEM,
        "output_text.delta",
        *TEXT_DONE,
        call_events[0],
        call_events[1],
        *call_events[1:],
        "output_item.done",
        *call_events,
        "output_item.done",
        "completed",
    ]
    output = events[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["reasoning", "message", "function_call", "function_call"]
    assert [item["id"].partition("_")[0] for item in output] == ["rs", "msg", "fc", "fc"]
    assert [event["output_index"] for event in events if event["type"] == "response.output_item.added"] == [0, 1, 2, 3]
    assert output[0]["content"] == [{"type": "reasoning_text", "text": "So"}]
    assert [(item["call_id"], item["arguments"]) for item in output[2:]] == [("call_0", '{"a": 1}'), ("call_1", "{}")]


async def test_a_cut_off_answer_is_incomplete_and_says_why() -> None:
    events = await stream(Piece(text="Hel"), end("length"))

    assert types_of(events)[-2:] == ["output_item.done", "incomplete"]
    response = events[-1]["response"]
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert response["output"][0]["status"] == "incomplete"
    assert response["completed_at"] is None


async def test_reasoning_that_is_cut_off_brings_no_message() -> None:
    events = await stream(Piece(reasoning="So"), end("length"))

    assert [item["type"] for item in events[-1]["response"]["output"]] == ["reasoning"]


async def test_an_answer_without_text_has_an_empty_message() -> None:
    events = await stream(end())

    assert types_of(events) == [*CREATED, *TEXT_ITEM, *TEXT_DONE, "completed"]
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == ""


async def test_log_probabilities_wait_for_the_text_that_they_belong_to() -> None:
    token = TokenLogprob("Hi", b"Hi", -0.5, top=[TokenLogprob("Ho", b"Ho", float("-inf"))])

    events = await stream(
        Piece(logprobs=[token]),
        Piece(text="Hi!", logprobs=[token]),
        end(),
        include=["message.output_text.logprobs"],
        top_logprobs=1,
    )

    (delta,) = [event for event in events if event["type"] == "response.output_text.delta"]
    assert len(delta["logprobs"]) == 2
    told = events[-1]["response"]["output"][0]["content"][0]["logprobs"]
    assert told == delta["logprobs"]
    assert told[0]["top_logprobs"] == [{"token": "Ho", "logprob": -9999.0, "bytes": [72, 111]}]


async def test_an_engine_that_fails_after_text_ends_the_stream_with_failed() -> None:
    events = await stream(Piece(text="Hel"), EngineFailed("it died"))

    assert types_of(events) == [*CREATED, *TEXT_ITEM, "output_text.delta", "failed"]
    response = events[-1]["response"]
    assert response["error"] == {"code": "server_error", "message": "it died", "param": None, "type": "engine_failed"}
    assert response["output"][0]["content"][0]["text"] == "Hel"


async def test_an_engine_that_just_stops_is_a_failure() -> None:
    events = await stream(Piece(text="Hel"))

    assert types_of(events)[-1] == "failed"
    assert "stopped in the middle" in events[-1]["response"]["error"]["message"]


async def test_a_call_that_goes_on_after_its_end_is_a_failure() -> None:
    late = Piece(tool_calls=[ToolCallDelta(index=0, arguments="}")])

    events = await stream(*call(0, "{"), *call(1, "{}"), late, end("tool_calls"), tools=[TOOL])

    assert types_of(events)[-1] == "failed"


async def test_a_bug_is_told_without_its_details_and_logged() -> None:
    async with responding(scripted(Piece(text="Hel"), RuntimeError("secret"))) as server:
        events = await events_of(server, json={**BODY, "stream": True})

    assert "secret" not in str(events)
    assert types_of(events)[-1] == "failed"
    assert len(server.log.named("response_failed")) == 1


@pytest.mark.parametrize("fields", [{}, {"stream": True}])
async def test_what_fails_before_its_first_piece_has_a_status_and_is_not_kept(
    fields: dict[str, Any], home: Path
) -> None:
    async with responding(scripted(EngineFailed("it died"))) as server:
        answer = await make(server, **fields)
        kept = ids_in(home)

    assert (answer.status_code, answer.json()["error"]["code"], kept) == (502, "engine_failed", [])


async def test_it_is_forgotten_even_where_that_takes_longer_than_headers_may(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slowly(store: Store, owner: str, response_id: str) -> bool:
        await asyncio.sleep(0.3)
        return await remove(store, owner, response_id)

    remove = Store.remove
    monkeypatch.setattr(Store, "remove", slowly)
    hasty = Server(headers_after_s=0.1, shutdown_grace_s=2.0)

    async with responding(scripted(EngineFailed("it died")), server=hasty) as server:
        answer = await make(server, stream=True)
        kept = ids_in(home)

    assert (answer.status_code, kept) == (502, [])


async def test_headers_go_out_in_time_even_without_a_piece() -> None:
    more = asyncio.Event()

    async with (
        responding(scripted(more, Piece(text="late"), end()), server=HASTY) as server,
        server.client() as client,
        client.stream("POST", URL, json={**BODY, "stream": True}) as answer,
    ):
        status_before_the_first_piece = answer.status_code
        more.set()
        text = "".join([part async for part in answer.aiter_text()])

    assert status_before_the_first_piece == 200
    assert "response.completed" in text


async def test_a_stopping_server_breaks_a_stream_with_an_error_event() -> None:
    services = scripted(Piece(text="Hel"), asyncio.Event())
    async with responding(services) as server:
        reading = asyncio.create_task(events_of(server, json={**BODY, "stream": True}))
        await until(lambda: bool(services.generations) and services.generations[0].waiting.is_set())
        server.shutdown.set()
        events = await reading

    assert types_of(events)[-1] == "error"
    assert events[-1]["code"] == "overloaded"
    STRICT.validate_python(events[-1])


async def test_a_client_that_goes_away_ends_the_generation_and_the_response_is_cancelled() -> None:
    services = scripted(Piece(text="Hel"), asyncio.Event())
    async with responding(services) as server:
        async with server.client() as client, client.stream("POST", URL, json={**BODY, "stream": True}) as answer:
            lines = answer.aiter_lines()
            while '"response.output_text.delta"' not in (line := await anext(lines)):
                if line.startswith("data: ") and "resp_" in line:
                    response_id = "resp_" + line.partition("resp_")[2][:32]
        await asyncio.wait_for(services.generations[0].closed.wait(), 20)
        kept = (await server.ask("GET", f"{URL}/{response_id}")).json()

    assert kept["status"] == "cancelled"
    assert kept["output"][0]["content"][0]["text"] == "Hel"
