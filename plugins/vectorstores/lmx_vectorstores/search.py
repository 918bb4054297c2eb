"""POST /v1/vector_stores/{id}/search."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import evolve

from lmx_hookspecs import Context, JsonResponse, Request, Response
from lmx_hookspecs.envelope import envelope_fields
from lmx_hookspecs.errors import InvalidRequest, NotFound
from lmx_hookspecs.filters import parse_filter
from lmx_hookspecs.queries import FoundChunk, RetrieveRequest
from lmx_hookspecs.retrieval import Fusion
from lmx_hookspecs.retrieving import found_by_any, fusion_of
from lmx_vectorstores import NAME
from lmx_vectorstores.members_table import attributes_of
from lmx_vectorstores.paging import Row
from lmx_vectorstores.requests import MAX_QUERIES, Ranking, SearchBody
from lmx_vectorstores.stores_table import usable_store

if TYPE_CHECKING:
    from lmx_vectorstores.desk import Desk

NOT_REWRITTEN = "rewrite_query has no effect: queries are searched for as they are"
"""Some SDKs ask for it by themselves, and `search_query` shows that nothing was rewritten: no reason to refuse."""


async def search_store(ctx: Context, request: Request) -> Response:
    """The best chunks of a store."""
    desk: Desk = ctx.part(NAME)
    body: SearchBody = request.body
    queries = _queries(body)
    if body.filters is not None:
        parse_filter(body.filters, "filters")
    store = await desk.ledger.ask(usable_store, request.path_params["store_id"], desk.now())
    found = await _found(ctx, request, store["id"], queries)
    members = await desk.ledger.ask(attributes_of, store["id"], [chunk.hit.document_id for chunk in found])
    results = [_result(chunk, members[chunk.hit.document_id]) for chunk in found if chunk.hit.document_id in members]
    told = {
        "object": "vector_store.search_results.page",
        "search_query": queries,
        "data": results[: body.max_num_results],
        "has_more": False,
        "next_page": None,
    }
    return JsonResponse(body={**told, "warnings": [NOT_REWRITTEN]} if body.rewrite_query else told)


async def _found(ctx: Context, request: Request, store_id: str, queries: Sequence[str]) -> list[FoundChunk]:
    """The best of all queries; nothing where somebody has deleted its collection below /v1/rag."""
    wanted = (_wanted(ctx, request, store_id, query) for query in queries)
    try:
        return await found_by_any(ctx.services.retrieval, wanted)
    except NotFound as error:
        if error.code != "collection_not_found":
            raise
        return []


def _wanted(ctx: Context, request: Request, store_id: str, query: str) -> RetrieveRequest:
    body: SearchBody = request.body
    ranking = body.ranking_options or Ranking()
    return RetrieveRequest(
        query=query,
        collections=[store_id],
        top_k=body.max_num_results,
        min_score=ranking.score_threshold,
        filter=body.filters,
        fusion=_fusion(ctx, ranking),
        rerank=False if ranking.ranker == "none" else None,
        rerank_final_k=body.max_num_results,
        surface="vector_stores",
        **envelope_fields(request),
    )


def _fusion(ctx: Context, ranking: Ranking) -> Fusion | None:
    weights = ranking.hybrid_search
    if weights is None:
        return None
    usual = fusion_of(ctx.services.config.section("rag"))
    return evolve(usual, vector_weight=weights.embedding_weight, keyword_weight=weights.text_weight)


def _queries(body: SearchBody) -> list[str]:
    queries = [body.query] if isinstance(body.query, str) else list(body.query)
    if len(queries) > MAX_QUERIES:
        raise InvalidRequest(f"query has more than {MAX_QUERIES} texts", param="query")
    if not all(query.strip() for query in queries):
        raise InvalidRequest("query must not be empty", param="query")
    return queries


def _result(chunk: FoundChunk, member: Row) -> Mapping[str, Any]:
    return {
        "file_id": member["file_id"],
        "filename": member["filename"],
        "score": chunk.hit.relevance,
        "attributes": member["attributes"],
        "content": [{"type": "text", "text": chunk.hit.chunk.text}],
    }
