from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from http_support import error_of
from lmx_hookspecs.retrieval import Fusion
from rag_support import URL, rag_services, ragging

if TYPE_CHECKING:
    from lmx_hookspecs.queries import ContextRequest, RetrieveRequest

QUERY, CONTEXT = f"{URL}/query", f"{URL}/context"


async def test_a_query_has_the_defaults_that_it_always_had() -> None:
    async with ragging() as (server, retrieval):
        await server.ask("POST", QUERY, json={"collection": "c", "query": "q"})

    asked: RetrieveRequest = retrieval.asked[0]
    assert (asked.query, asked.collections, asked.top_k, asked.mode, asked.min_score) == ("q", ["c"], 5, "vector", 0.0)
    assert (asked.rerank, asked.rerank_initial_k, asked.rerank_final_k, asked.fusion, asked.filter) == (None,) * 5
    assert asked.with_embeddings is False


async def test_a_result_tells_all_that_is_known_of_it_and_rounds_nothing() -> None:
    async with ragging() as (server, _):
        answer = await server.ask("POST", QUERY, json={"collection": "c", "query": "q", "include_embeddings": True})

    plain = answer.json()
    assert plain.pop("duration_ms") >= 0
    assert plain == {
        "collection": "c",
        "query": "q",
        "total_in_collection": 7,
        "search_mode": "vector",
        "reranked_by": None,
        "results": [
            {
                "id": "d#3",
                "text": "a text",
                "score": 0.0163934426,
                "metadata": {"chunk_index": 3, "start_char": 10, "end_char": "mine", "source": "x"},
                "embedding": [0.5, -1.0],
                "document_id": "d",
                "title": "A title",
                "section": "Part > Chapter",
                "tokens": 2,
                "relevance": 0.75,
                "legs": {"vector": 0.75},
                "ranks": {"vector": 1},
            }
        ],
    }


async def test_everything_that_a_query_says_reaches_the_service() -> None:
    body = {
        "collection": "c",
        "query": "q",
        "top_k": 50,
        "min_score": 0.5,
        "model": "embedder",
        "search_mode": "hybrid",
        "filter": {"type": "eq", "key": "a", "value": 1},
        "rrf_k": 10,
        "rrf_keyword_weight": 0,
        "rerank": True,
        "rerank_model": "reranker",
        "rerank_initial_k": 20,
        "rerank_top_k": 7,
    }

    async with ragging(rag_services(rrf_vector_weight=2.0)) as (server, retrieval):
        answer = await server.ask("POST", QUERY, json=body, headers={"X-Timeout": "9"})

    asked: RetrieveRequest = retrieval.asked[0]
    assert answer.json()["results"][0]["embedding"] is None
    assert (asked.top_k, asked.min_score, asked.model, asked.mode, asked.timeout_s) == (
        50,
        0.5,
        "embedder",
        "hybrid",
        9,
    )
    assert asked.filter == {"type": "eq", "key": "a", "value": 1}
    assert asked.fusion == Fusion(method="rrf", k=10, vector_weight=2.0, keyword_weight=0)
    assert (asked.rerank, asked.rerank_model, asked.rerank_initial_k, asked.rerank_final_k) == (True, "reranker", 20, 7)


BAD: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "blank": ({"query": "  "}, "query"),
    "empty": ({"query": ""}, "query"),
    "no results": ({"top_k": 0}, "top_k"),
    "too many results": ({"top_k": 201}, "top_k"),
    "a score beyond 1": ({"min_score": 1.1}, "min_score"),
    "a mode that is none": ({"search_mode": "magic"}, "search_mode"),
    "a fusion that is none": ({"fusion": "magic"}, "fusion"),
    "a weight beyond 5": ({"rrf_vector_weight": 6}, "rrf_vector_weight"),
    "more kept than reranked": ({"rerank_initial_k": 5, "rerank_final_k": 6}, "rerank_initial_k"),
    "two numbers for one thing": ({"rerank_top_k": 5, "rerank_final_k": 6}, "rerank_top_k"),
    "a filter that is no object": ({"filter": []}, "filter"),
}


@pytest.mark.parametrize("name", BAD)
async def test_what_cannot_be_asked_is_refused(name: str) -> None:
    wrong, param = BAD[name]

    async with ragging() as (server, retrieval):
        answer = await server.ask("POST", QUERY, json={"collection": "c", "query": "q", **wrong})

    assert (answer.status_code, error_of(answer)["param"]) == (400, param)
    assert retrieval.asked == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (QUERY, {"collection": "c", "query": "q"}),
        (CONTEXT, {"collections": ["c"], "query": "q"}),
        (f"{URL}/ingest", {"collection": "c", "documents": ["d"]}),
    ],
)
async def test_unknown_fields_are_refused_or_dropped_with_a_warning_for_lenient_clients(
    path: str, body: Mapping[str, Any]
) -> None:
    async with ragging() as (server, retrieval):
        strict = await server.ask("POST", path, json={**body, "foo": 1})
        untouched = not retrieval.asked
        lenient = await server.ask("POST", path, json={**body, "foo": 1}, headers={"X-LMX-Lenient": "1"})

    assert (strict.status_code, error_of(strict)["code"], untouched) == (400, "unsupported_parameter", True)
    assert lenient.json()["warnings"] == ["foo was dropped: it is not supported"]


async def test_warnings_of_the_service_reach_the_client() -> None:
    async with ragging() as (server, retrieval):
        retrieval.warnings = ["mind the gap"]
        answer = await server.ask("POST", QUERY, json={"collection": "c", "query": "q"})

    assert answer.json()["warnings"] == ["mind the gap"]


async def test_a_context_lists_a_source_for_each_chunk_and_a_citation_for_each_part() -> None:
    async with ragging() as (server, retrieval):
        answer = await server.ask("POST", CONTEXT, json={"query": "q", "collections": ["c", "d", "c"]})

    asked: ContextRequest = retrieval.asked[0]
    assert (asked.max_tokens, asked.retrieve.collections, asked.retrieve.top_k) == (4096, ["c", "d"], 3)
    assert (asked.retrieve.min_score, asked.retrieve.mode, asked.retrieve.rerank) == (0.1, "vector", None)
    plain = answer.json()
    assert (plain["context"], plain["total_chunks"], plain["estimated_tokens"]) == ("[1] …\n[2] …", 3, 12)
    assert (plain["skipped"], plain["duplicates"]) == (1, 2)
    assert [(one["id"], one["citation"], one["score"], one["metadata"]) for one in plain["sources"]] == [
        ("d#0", 1, 0.5, {"a": 1}),
        ("d#1", 1, 0.5, {"a": 1}),
        ("e#0", 2, 0.5, {"a": 1}),
    ]
    assert [(one["number"], one["chunk_ids"]) for one in plain["citations"]] == [(1, ["d#0", "d#1"]), (2, ["e#0"])]


BAD_CONTEXTS: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "no collections": ({"collections": []}, "collections"),
    "an empty name": ({"collections": ["c", ""]}, "collections[1]"),
    "a blank query": ({"query": "\t"}, "query"),
    "too few tokens": ({"max_context_tokens": 255}, "max_context_tokens"),
    "too many tokens": ({"max_context_tokens": 32_769}, "max_context_tokens"),
    "too many chunks": ({"top_k_per_collection": 21}, "top_k_per_collection"),
}


@pytest.mark.parametrize("name", BAD_CONTEXTS)
async def test_a_context_that_cannot_be_is_refused(name: str) -> None:
    wrong, param = BAD_CONTEXTS[name]

    async with ragging() as (server, _):
        answer = await server.ask("POST", CONTEXT, json={"query": "q", "collections": ["c"], **wrong})

    assert (answer.status_code, error_of(answer)["param"]) == (400, param)
