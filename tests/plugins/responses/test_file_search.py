"""The tool `file_search`: the server runs it, and the model reads and cites what was found."""

from typing import Any

from openai import AsyncOpenAI
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from file_search_support import (
    ASKED,
    FORCED,
    FUNCTION,
    PORT,
    RESULTS,
    TOOL,
    USAGE,
    answer_of,
    calls,
    library,
    names_of,
    services,
)
from http_support import Served, Step, said
from lmx_hookspecs import GenerationRequest, Piece, ToolCallDelta
from lmx_hookspecs.errors import EngineFailed, UnsupportedParameter
from responses_support import events_of, make, responding, types_of
from vector_store_support import MemoryRetrieval, MemoryStore, RetrievingServices

STRICT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def client_of(server: Served) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


async def test_the_model_calls_the_search_and_reads_what_was_found() -> None:
    fake = services(calls({"queries": ["which port"]}), said("On 1234 [1]."))

    answer = await answer_of(fake, include=[RESULTS])

    search, message = answer["output"]
    assert (search["type"], search["status"], search["queries"]) == ("file_search_call", "completed", ["which port"])
    (result,) = search["results"]
    assert result == {
        "file_id": "file-guide",
        "filename": "guide.txt",
        "score": 0.5,
        "text": PORT,
        "attributes": {"year": 2024},
    }
    (part,) = message["content"]
    assert part["text"] == "On 1234 [1]."
    assert part["annotations"] == [
        {"type": "file_citation", "index": 8, "file_id": "file-guide", "filename": "guide.txt"}
    ]
    first, second = fake.asked
    assert names_of(first) == ["file_search"]
    assert second.messages is not None
    assert [message.role for message in second.messages] == ["user", "assistant", "tool"]
    assert PORT in str(second.messages[-1].content)
    assert second.messages[1].tool_calls[0]["id"] == second.messages[2].tool_call_id


async def test_only_what_vector_stores_vouch_for_is_searched() -> None:
    fake = services(calls({"queries": ["port"]}), said("1234"))

    await answer_of(fake)

    assert [query.kept_only for query in fake.retrieval.queries] == [True]


async def test_usage_is_that_of_all_rounds() -> None:
    answer = await answer_of(services(calls({"queries": ["port"]}), said("1234")))

    usage = answer["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (10, 4, 14)


async def test_results_are_only_told_to_who_asks_for_them() -> None:
    answer = await answer_of(services(calls({"queries": ["port"]}), said("1234")))

    assert answer["output"][0]["results"] is None


async def test_a_model_that_does_not_call_answers_at_once() -> None:
    fake = services(said("hello"))

    answer = await answer_of(fake)

    assert [item["type"] for item in answer["output"]] == ["message"]
    assert fake.retrieval.queries == []


async def test_a_search_that_has_to_be_made_is_made_first_and_its_finds_are_in_the_prompt() -> None:
    fake = services(said("On 1234."))

    answer = await answer_of(fake, **FORCED, include=[RESULTS])

    (request,) = fake.asked
    assert request.messages is not None
    prompt = str(request.messages[-1].content)
    assert PORT in prompt
    assert "[1] guide.txt" in prompt
    assert prompt.endswith("which port")
    assert request.tools == ()
    assert [item["type"] for item in answer["output"]] == ["file_search_call", "message"]
    assert answer["output"][0]["results"][0]["text"] == PORT


async def test_a_model_without_tools_is_given_what_it_would_have_found() -> None:
    class Plain(RetrievingServices):
        async def generate(self, request: GenerationRequest) -> Any:
            if request.tools:
                raise UnsupportedParameter("no tools", param="tools")
            return await super().generate(request)

    fake = Plain(script=lambda _: said("On 1234."), retrieval=library())

    answer = await answer_of(fake, parallel_tool_calls=False)

    assert answer["output"][0]["queries"] == ["which port"]
    assert fake.asked[-1].parallel_tool_calls


async def test_calls_of_the_clients_functions_end_the_response_and_a_search_beside_them_is_made() -> None:
    both: list[Step] = [
        Piece(tool_calls=[ToolCallDelta(index=0, id="a", name="file_search", arguments='{"queries": ["port"]}')]),
        Piece(tool_calls=[ToolCallDelta(index=1, id="b", name="f", arguments="{}")]),
        Piece(finish_reason="tool_calls", usage=USAGE),
    ]

    answer = await answer_of(services(both), tools=[TOOL, FUNCTION])

    assert [item["type"] for item in answer["output"]] == ["function_call", "file_search_call"]
    assert answer["status"] == "completed"


async def test_events_tell_of_the_search_in_order() -> None:
    fake = services(calls({"queries": ["which port"]}, text="Let me look. "), said("On ", "1234 [1]."))
    async with responding(fake) as server:
        events = await events_of(server, json={**ASKED, "stream": True})

    for event in events:
        STRICT.validate_python(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    types = types_of(events)
    message = ["output_item.added", "content_part.added", "output_text.delta"]
    done = ["output_text.done", "content_part.done", "output_item.done"]
    assert types == [
        "created",
        "in_progress",
        *message,
        *done,
        "output_item.added",
        "file_search_call.in_progress",
        "file_search_call.searching",
        "file_search_call.completed",
        "output_item.done",
        *message,
        "output_text.delta",
        "output_text.annotation.added",
        *done,
        "completed",
    ]
    assert [item["type"] for item in events[-1]["response"]["output"]] == ["message", "file_search_call", "message"]


async def test_the_sdk_reads_and_streams_it() -> None:
    tools: Any = [TOOL]
    rounds = [calls({"queries": ["port"]}), said("1234 [1]")] * 2
    async with responding(services(*rounds)) as server, client_of(server) as client:
        made = await client.responses.create(
            model="m", input="which port", tools=tools, include=["file_search_call.results"]
        )
        async with client.responses.stream(model="m", input="which port", tools=tools) as stream:
            kinds = [event.type async for event in stream]
            streamed = await stream.get_final_response()

    search, message = made.output
    assert search.type == "file_search_call"
    assert search.results is not None
    assert search.results[0].text == PORT
    assert message.type == "message"
    assert message.content[0].type == "output_text"
    assert message.content[0].annotations[0].type == "file_citation"
    assert "response.file_search_call.searching" in kinds
    assert streamed.output_text == "1234 [1]"


async def test_a_conversation_goes_on_after_a_search() -> None:
    fake = services(calls({"queries": ["port"]}), said("1234"), said("again"), said("once more"))
    async with responding(fake) as server:
        first = (await make(server, **ASKED)).json()
        second = await make(server, input="and?", previous_response_id=first["id"])
        third = await make(server, input=[{"role": "user", "content": "q"}, *first["output"]])

    assert second.status_code == third.status_code == 200
    assert fake.asked[2].messages is not None
    assert [message.role for message in fake.asked[2].messages] == ["user", "assistant", "user"]


async def test_an_empty_store_finds_nothing_and_says_so_to_the_model() -> None:
    fake = services(said("I do not know."))

    answer = await answer_of(fake, **{**FORCED, "tools": [{**TOOL, "vector_store_ids": ["vs_empty"]}]})

    assert answer["output"][0]["status"] == "completed"
    assert "Nothing was found" in str(fake.asked[0].messages)


async def test_a_search_that_fails_fails_the_response() -> None:
    fake = services(calls({"queries": ["port"]}))
    fake.retrieval = Broken(library().store)
    async with responding(fake) as server:
        events = await events_of(server, json={**ASKED, "stream": True})

    assert types_of(events)[-1] == "failed"
    assert events[-1]["response"]["output"][-1]["status"] == "incomplete"


class Broken(MemoryRetrieval):
    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store=store)

    async def retrieve(self, _: Any) -> Any:
        raise EngineFailed("the embedder died")
