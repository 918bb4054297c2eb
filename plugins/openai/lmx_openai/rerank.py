"""POST /v1/rerank, as Cohere and Jina have it."""

from collections.abc import Mapping, Sequence
from typing import Any

from lmx_hookspecs import Context, JsonResponse, RankedDocument, Request, RerankRequest, Response
from lmx_hookspecs.envelope import envelope_fields
from lmx_hookspecs.errors import InvalidRequest
from lmx_openai.gather import UNCOUNTED, served_by, warned
from lmx_openai.unknown import check_unknown


async def create_reranking(ctx: Context, request: Request) -> Response:
    """Order documents by their relevance to a query."""
    warnings = check_unknown(request)
    body = request.body
    if not body.query.strip():
        raise InvalidRequest("query is blank; say what to look for", code="invalid_input", param="query")
    texts = [_text(document, f"documents[{place}]") for place, document in enumerate(body.documents)]
    wanted = RerankRequest(
        model=body.model,
        query=body.query,
        documents=texts,
        top_n=None if body.top_n is None else min(body.top_n, len(texts)),
        **envelope_fields(request),
    )
    answer = await ctx.services.rerank(wanted)
    shown = texts if body.return_documents is not False else None
    plain = {
        "results": [_result(ranked, shown) for ranked in answer.results],
        "model": answer.model,
        "usage": {"total_tokens": answer.total_tokens or 0},
    }
    uncounted = [UNCOUNTED] if answer.total_tokens is None else []
    return JsonResponse(body=warned(plain, warnings, uncounted), headers=served_by(answer))


def _text(document: str | Mapping[str, Any], place: str) -> str:
    text = document if isinstance(document, str) else document.get("text")
    if not isinstance(text, str):
        raise InvalidRequest(f"{place}.text must be a string", param=f"{place}.text")
    return text


def _result(ranked: RankedDocument, texts: Sequence[str] | None) -> Mapping[str, Any]:
    result = {"index": ranked.index, "relevance_score": ranked.score}
    return result if texts is None else {**result, "document": {"text": texts[ranked.index]}}
