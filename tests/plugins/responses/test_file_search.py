"""The tool `file_search`: the server runs it, and the model reads and cites what was found."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from attrs import evolve
from openai import AsyncOpenAI
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from http_support import Served, Step, error_of, said
from lmx_hookspecs import Chunk, Document, GenerationRequest, Piece, TokenCount, ToolCallDelta, Usage
from lmx_hookspecs.errors import ContextLengthExceeded, EngineFailed, UnsupportedParameter
from responses_support import BODY, URL, events_of, make, responding, types_of
from vector_store_support import MemoryRetrieval, MemoryStore, RetrievingServices

STRICT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
PORT, LOADING = "LMX listens on port 1234.", "Models are loaded when they are asked for."
TOOL: dict[str, Any] = {"type": "file_search", "vector_store_ids": ["vs_docs"]}
FORCED: dict[str, Any] = {"tools": [TOOL], "tool_choice": {"type": "file_search"}}
ASKED: dict[str, Any] = {**BODY, "input": "which port", "tools": [TOOL]}
FUNCTION: dict[str, Any] = {"type": "function", "name": "f", "parameters": {"type": "object"}}
RESULTS = "file_search_call.results"
USAGE = Usage(prompt_tokens=5, completion_tokens=2, cached_tokens=1)


def library() -> MemoryRetrieval:
    chunks = [Chunk(index=place, text=text, tokens=10) for place, text in enumerate((PORT, LOADING))]
    guide = Document(id="file-guide", title="guide.txt", metadata={"year": 2024}, chunks=chunks)
    return MemoryRetrieval(store=MemoryStore(collections={"vs_docs": {"file-guide": guide}, "vs_empty": {}}))


def calls(*arguments: Any, name: str = "file_search", text: str = "") -> list[Step]:
    """A round that ends with calls."""
    deltas = [
        ToolCallDelta(index=place, id=f"call_{place}", name=name, arguments=json.dumps(one))
        for place, one in enumerate(arguments)
    ]
    first: list[Step] = [Piece(text=text)] if text else []
    return [*first, *(Piece(tool_calls=[delta]) for delta in deltas), Piece(finish_reason="tool_calls", usage=USAGE)]


def services(*rounds: Sequence[Step], **fields: Any) -> RetrievingServices:
    """A model that plays these rounds, one after the other."""
    left = list(rounds)

    def script(_: GenerationRequest) -> Iterable[Step]:
        return left.pop(0)

    return RetrievingServices(script=script, retrieval=library(), **fields)


async def answer_of(fake: RetrievingServices, config: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    async with responding(fake, config=config or {}) as server:
        response = await make(server, **{**ASKED, **fields})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def names_of(request: GenerationRequest) -> list[str]:
    return [tool["function"]["name"] for tool in request.tools]


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


@pytest.mark.parametrize(
    "choice",
    ["required", {"type": "allowed_tools", "mode": "required", "tools": [{"type": "file_search"}]}],
)
async def test_required_with_nothing_else_to_call_is_a_search(choice: Any) -> None:
    fake = services(said("On 1234."))

    answer = await answer_of(fake, tool_choice=choice)

    assert answer["output"][0]["type"] == "file_search_call"
    assert fake.asked[0].tool_choice is None


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


async def test_file_search_first_searches_for_models_that_call_badly() -> None:
    fake = services(said("On 1234."))

    answer = await answer_of(fake, {"file_search_first": True})

    assert answer["output"][0]["type"] == "file_search_call"


async def test_none_offers_no_search() -> None:
    fake = services(said("hello"))

    await answer_of(fake, tool_choice="none")

    assert fake.asked[0].tools == ()


async def test_options_of_the_tool_reach_the_search() -> None:
    tool = {
        **TOOL,
        "max_num_results": 7,
        "filters": {"type": "eq", "key": "year", "value": 2024},
        "ranking_options": {
            "ranker": "none",
            "score_threshold": 0.25,
            "hybrid_search": {"embedding_weight": 2, "text_weight": 0},
        },
    }
    fake = services(said("x"))

    await answer_of(fake, **{**FORCED, "tools": [tool]})

    (query,) = fake.retrieval.queries
    assert (query.top_k, query.min_score, query.filter, query.rerank) == (7, 0.25, tool["filters"], False)
    assert query.fusion is not None
    assert (query.fusion.vector_weight, query.fusion.keyword_weight) == (2, 0)
    assert fake.events.published == [("file_search", {"collections": ["vs_docs"]})]


async def test_rounds_and_calls_are_bounded() -> None:
    again = calls({"queries": ["port"]})
    rounds = services(again, again, said("done"))
    limited = services(again, again, said("done"))

    by_rounds = await answer_of(rounds, {"file_search_rounds": 2})
    by_calls = await answer_of(limited, max_tool_calls=1)

    assert [item["type"] for item in by_rounds["output"]] == ["file_search_call", "file_search_call", "message"]
    assert [names_of(request) for request in rounds.asked] == [["file_search"], ["file_search"], []]
    assert [names_of(request) for request in limited.asked][:2] == [["file_search"], []]
    assert [item["type"] for item in by_calls["output"]].count("file_search_call") == 1


async def test_calls_of_the_clients_functions_end_the_response_and_a_search_beside_them_is_made() -> None:
    both: list[Step] = [
        Piece(tool_calls=[ToolCallDelta(index=0, id="a", name="file_search", arguments='{"queries": ["port"]}')]),
        Piece(tool_calls=[ToolCallDelta(index=1, id="b", name="f", arguments="{}")]),
        Piece(finish_reason="tool_calls", usage=USAGE),
    ]

    answer = await answer_of(services(both), tools=[TOOL, FUNCTION])

    assert [item["type"] for item in answer["output"]] == ["function_call", "file_search_call"]
    assert answer["status"] == "completed"


@pytest.mark.parametrize("arguments", ["", "{", "[]", '{"queries": []}', '{"other": 1}', '{"queries": [1]}'])
async def test_a_call_without_queries_searches_for_what_the_user_said(arguments: str) -> None:
    call = Piece(tool_calls=[ToolCallDelta(index=0, id="a", name="file_search", arguments=arguments)])

    answer = await answer_of(services([call, Piece(finish_reason="tool_calls", usage=USAGE)], said("1234")))

    assert answer["output"][0]["queries"] == ["which port"]


async def test_excerpts_keep_within_their_tokens_and_within_the_context() -> None:
    class Short(RetrievingServices):
        async def count_tokens(self, request: GenerationRequest) -> TokenCount:
            if LOADING in str(request.messages):
                raise ContextLengthExceeded("too long")
            return await super().count_tokens(request)

    question: dict[str, Any] = {"input": "port models loaded", "include": [RESULTS]}
    bounded = await answer_of(services(said("x")), {"file_search_tokens": 64}, **FORCED, **question)
    short = Short(script=lambda _: said("x"), retrieval=library())
    fitted = await answer_of(short, **FORCED, **question)

    assert len(bounded["output"][0]["results"]) == 2
    assert fitted["output"][0]["results"] == []
    assert LOADING not in str(short.asked[-1].messages)


async def test_file_search_tokens_bounds_what_a_search_puts_into_the_prompt() -> None:
    fake = services(said("x"))
    docs = fake.retrieval.store.collections["vs_docs"]
    guide = docs["file-guide"]
    docs["file-guide"] = evolve(guide, chunks=[evolve(chunk, tokens=40) for chunk in guide.chunks])

    answer = await answer_of(fake, {"file_search_tokens": 64}, **FORCED, input="port models loaded", include=[RESULTS])

    assert len(answer["output"][0]["results"]) == 1


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
    async with responding(services(*[calls({"queries": ["port"]}), said("1234 [1]")] * 2)) as server:
        async with client_of(server) as client:
            made = await client.responses.create(model="m", input="which port", tools=[TOOL], include=[RESULTS])  # type: ignore[list-item]
            async with client.responses.stream(model="m", input="which port", tools=[TOOL]) as stream:  # type: ignore[list-item]
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


@pytest.mark.parametrize(
    ("tool", "status", "param"),
    [
        ({"vector_store_ids": []}, 400, "tools[0].vector_store_ids"),
        ({"vector_store_ids": "vs_docs"}, 400, "tools[0].vector_store_ids"),
        ({"vector_store_ids": [1]}, 400, "tools[0].vector_store_ids"),
        ({"vector_store_ids": ["vs_x"]}, 404, "tools[0].vector_store_ids"),
        ({"max_num_results": 51}, 400, "tools[0].max_num_results"),
        ({"max_num_results": True}, 400, "tools[0].max_num_results"),
        ({"filters": {"type": "eq"}}, 400, "tools[0].filters.key"),
        ({"ranking_options": {"score_threshold": 2}}, 400, "tools[0].ranking_options.score_threshold"),
        ({"ranking_options": {"ranker": "best"}}, 400, "tools[0].ranking_options.ranker"),
        ({"ranking_options": {"hybrid_search": {}}}, 400, "tools[0].ranking_options.hybrid_search"),
        ({"ranking_options": []}, 400, "tools[0].ranking_options"),
        ({"other": 1}, 400, "tools[0].other"),
    ],
)
async def test_bad_tools_are_refused_by_name(tool: dict[str, Any], status: int, param: str) -> None:
    fake = services()
    async with responding(fake) as server:
        answer = await make(server, **{**ASKED, "tools": [{**TOOL, **tool}]})

    assert answer.status_code == status
    assert error_of(answer)["param"] == param
    assert fake.asked == []


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [TOOL, TOOL]}, "tools[1]"),
        ({"tools": [TOOL, {**FUNCTION, "name": "file_search"}]}, "tools[1].name"),
        ({"tools": [FUNCTION], "tool_choice": {"type": "file_search"}}, "tool_choice"),
        ({**FORCED, "input": [{"role": "system", "content": "x"}]}, "input"),
    ],
)
async def test_what_cannot_be_meant_is_refused(fields: dict[str, Any], param: str) -> None:
    async with responding(services()) as server:
        answer = await server.ask("POST", URL, json={**ASKED, **fields})

    assert answer.status_code == 400
    assert error_of(answer)["param"] == param
