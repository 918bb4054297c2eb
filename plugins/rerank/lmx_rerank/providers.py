"""How the APIs differ that rerank: where they are, and what they call things.

https://docs.cohere.com/reference/rerank, https://api.jina.ai/redoc, https://docs.voyageai.com/reference/reranker-api,
https://www.mixedbread.com/api-reference, https://huggingface.github.io/text-embeddings-inference
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from types import MappingProxyType
from typing import Any

from attrs import frozen


@frozen(kw_only=True)
class Provider:
    """One shape of request and answer."""

    url: str = ""
    documents: str = "documents"
    top: str = "top_n"
    without_texts: str = "return_documents"
    """What asks for an answer without the documents in it."""
    results: str = "results"
    """Where the entries stand in the answer; empty where they are the answer."""
    score: str = "relevance_score"
    extra: Mapping[str, Any] = MappingProxyType({})

    def body(self, model: str, query: str, documents: Sequence[str]) -> dict[str, Any]:
        """A request for the scores of all documents."""
        asked: dict[str, Any] = {"model": model, "query": query, self.documents: list(documents), **self.extra}
        if self.top:
            asked[self.top] = len(documents)
        return {**asked, self.without_texts: False}

    def scores(self, answer: Any, count: int) -> list[float]:
        """One per document, in their order; raises ValueError, LookupError or TypeError for anything else."""
        entries = answer[self.results] if self.results else answer
        scores = {int(entry["index"]): float(entry[self.score]) for entry in entries}
        if sorted(scores) != list(range(count)) or len(entries) != count:
            raise ValueError(f"it ranked {len(entries)} of {count} documents")
        if not all(map(isfinite, scores.values())):
            raise ValueError("a score is no number")
        return [scores[place] for place in range(count)]


STANDARD = Provider()
"""That of POST /v1/rerank, ours included."""
PROVIDERS: Mapping[str, Provider] = MappingProxyType(
    {
        "cohere": Provider(url="https://api.cohere.com/v1/rerank"),
        "jina": Provider(url="https://api.jina.ai/v1/rerank"),
        "voyage": Provider(url="https://api.voyageai.com/v1/rerank", top="top_k", results="data"),
        "mixedbread": Provider(
            url="https://api.mixedbread.com/v1/reranking",
            documents="input",
            top="top_k",
            without_texts="return_input",
            results="data",
            score="score",
        ),
        "tei": Provider(
            documents="texts",
            top="",
            without_texts="return_text",
            results="",
            score="score",
            extra=MappingProxyType({"truncate": True}),
        ),
    }
)


def tokens_of(answer: Any) -> int | None:
    """What it says that it has read."""
    usage = answer.get("usage") if isinstance(answer, dict) else None
    count = usage.get("total_tokens") if isinstance(usage, dict) else None
    return count if isinstance(count, int) and count >= 0 else None
