"""POST /v1/rag/query and POST /v1/rag/context."""

import sys
from array import array
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

from attrs import evolve

from lmx_hookspecs import Context, Request, Response
from lmx_hookspecs.envelope import envelope_fields
from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.queries import AssembledContext, Citation, ContextRequest, FoundChunk, Retrieval, RetrieveRequest
from lmx_hookspecs.retrieval import Fusion, chunk_id
from lmx_hookspecs.retrieving import fusion_of
from lmx_rag.answers import CitationAnswer, ContextAnswer, QueryAnswer, ResultAnswer, SourceAnswer
from lmx_rag.requests import MAX_NAME, ContextBody, QueryBody
from lmx_rag.wire import reply, retrieval, since_ms


async def query(ctx: Context, request: Request) -> Response:
    """Find chunks."""
    began = perf_counter()
    body: QueryBody = request.body
    final_k = _final_k(body)
    wanted = RetrieveRequest(
        collections=[body.collection],
        top_k=body.top_k,
        with_embeddings=body.include_embeddings,
        **_asked(ctx, body, final_k),
        **envelope_fields(request),
    )
    found = await retrieval(ctx).retrieve(wanted)
    return reply(_answer(body, found, since_ms(began)))


async def context(ctx: Context, request: Request) -> Response:
    """Find chunks of several collections, and make one text of them."""
    began = perf_counter()
    body: ContextBody = request.body
    for place, name in enumerate(body.collections):
        if not 0 < len(name) <= MAX_NAME:
            where = f"collections[{place}]"
            raise InvalidRequest(f"{where} must be the name of a collection, 1 to {MAX_NAME} characters", param=where)
    wanted = RetrieveRequest(
        collections=list(dict.fromkeys(body.collections)),
        top_k=body.top_k_per_collection,
        **_asked(ctx, body, body.rerank_final_k),
        **envelope_fields(request),
    )
    made = await retrieval(ctx).assemble(ContextRequest(retrieve=wanted, max_tokens=body.max_context_tokens))
    return reply(_assembled(made, since_ms(began)))


def _asked(ctx: Context, body: QueryBody | ContextBody, final_k: int | None) -> Mapping[str, Any]:
    """What both routes ask."""
    if not body.query.strip():
        raise InvalidRequest("query is blank; say what to look for", code="invalid_input", param="query")
    initial_k = body.rerank_initial_k
    if initial_k is not None and final_k is not None and final_k > initial_k:
        raise InvalidRequest(
            f"rerank_initial_k is {initial_k}, and {final_k} of these cannot be kept; send more",
            param="rerank_initial_k",
        )
    return {
        "query": body.query,
        "mode": body.search_mode,
        "min_score": body.min_score,
        "filter": body.filter,
        "fusion": _fusion(ctx, body),
        "rerank": body.rerank,
        "rerank_model": body.rerank_model,
        "rerank_initial_k": initial_k,
        "rerank_final_k": final_k,
        "model": body.model,
    }


def _final_k(body: QueryBody) -> int | None:
    if None not in (body.rerank_top_k, body.rerank_final_k) and body.rerank_top_k != body.rerank_final_k:
        raise InvalidRequest("rerank_top_k is the same as rerank_final_k; send one of them", param="rerank_top_k")
    return body.rerank_final_k if body.rerank_top_k is None else body.rerank_top_k


def _fusion(ctx: Context, body: QueryBody | ContextBody) -> Fusion | None:
    """None where the request says nothing of it; what it leaves open is what the section `rag` says."""
    asked: Mapping[str, Any] = {
        "method": body.fusion,
        "k": body.rrf_k,
        "vector_weight": body.rrf_vector_weight,
        "keyword_weight": body.rrf_keyword_weight,
    }
    changes: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    if not changes:
        return None
    return evolve(fusion_of(ctx.services.config.section("rag")), **changes)


def _answer(body: QueryBody, found: Retrieval, duration_ms: float) -> QueryAnswer:
    return QueryAnswer(
        collection=body.collection,
        query=body.query,
        results=[_result(one, with_embedding=body.include_embeddings) for one in found.found],
        total_in_collection=found.totals.get(body.collection, 0),
        duration_ms=duration_ms,
        search_mode=body.search_mode,
        reranked_by=found.reranked_by or None,
        warnings=found.warnings,
    )


def _result(one: FoundChunk, *, with_embedding: bool) -> ResultAnswer:
    hit, chunk = one.hit, one.hit.chunk
    place = {"chunk_index": chunk.index, "start_char": chunk.start, "end_char": chunk.end}
    return ResultAnswer(
        id=chunk_id(hit.document_id, chunk.index),
        text=chunk.text,
        score=one.score,
        metadata={**place, **hit.metadata},
        embedding=_floats(chunk.embedding) if with_embedding else None,
        document_id=hit.document_id,
        title=hit.document_title,
        section=chunk.title,
        tokens=chunk.tokens,
        relevance=hit.relevance,
        legs=dict(hit.legs),
        ranks=dict(hit.ranks),
    )


def _floats(raw: bytes) -> Sequence[float]:
    floats = array("f", raw)
    if sys.byteorder == "big":
        floats.byteswap()
    return list(floats)


def _assembled(made: AssembledContext, duration_ms: float) -> ContextAnswer:
    return ContextAnswer(
        context=made.text,
        sources=[source for citation in made.citations for source in _sources(citation)],
        citations=[_citation(citation) for citation in made.citations],
        total_chunks=made.chunks,
        estimated_tokens=made.tokens,
        skipped=made.skipped,
        duplicates=made.duplicates,
        duration_ms=duration_ms,
        warnings=made.warnings,
    )


def _sources(citation: Citation) -> Sequence[SourceAnswer]:
    return [
        SourceAnswer(
            collection=citation.collection,
            id=one,
            score=citation.score,
            metadata=dict(citation.metadata),
            document_id=citation.document_id,
            title=citation.document_title,
            citation=citation.number,
        )
        for one in citation.chunk_ids
    ]


def _citation(citation: Citation) -> CitationAnswer:
    return CitationAnswer(
        number=citation.number,
        collection=citation.collection,
        document_id=citation.document_id,
        title=citation.document_title,
        chunk_ids=list(citation.chunk_ids),
        score=citation.score,
        metadata=dict(citation.metadata),
        start=citation.start,
        end=citation.end,
    )
