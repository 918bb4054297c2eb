"""What may be asked of the tool `file_search`, and how far it goes."""

from typing import Any

import pytest
from attrs import evolve
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from file_search_support import (
    ASKED,
    FORCED,
    FUNCTION,
    LOADING,
    RESULTS,
    TOOL,
    USAGE,
    answer_of,
    calls,
    library,
    names_of,
    services,
)
from http_support import error_of, said
from lmx_hookspecs import GenerationRequest, Piece, TokenCount, ToolCallDelta
from lmx_hookspecs.errors import ContextLengthExceeded
from lmx_hookspecs.retrieval import CollectionSettings
from responses_support import URL, make, responding
from vector_store_support import RetrievingServices

STRICT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


@pytest.mark.parametrize(
    "choice",
    ["required", {"type": "allowed_tools", "mode": "required", "tools": [{"type": "file_search"}]}],
)
async def test_required_with_nothing_else_to_call_is_a_search(choice: Any) -> None:
    fake = services(said("On 1234."))

    answer = await answer_of(fake, tool_choice=choice)

    assert answer["output"][0]["type"] == "file_search_call"
    assert fake.asked[0].tool_choice is None


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


async def test_a_vector_store_of_another_key_does_not_exist() -> None:
    fake = services(said("never"))
    fake.retrieval.store.settings["vs_docs"] = CollectionSettings(embedding_model="m", dimensions=4, owner="alice")
    async with responding(fake) as server:
        answer = await make(server, **ASKED)

    assert (answer.status_code, error_of(answer)["param"]) == (404, "tools[0].vector_store_ids")
    assert not fake.asked
