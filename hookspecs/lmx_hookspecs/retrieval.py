"""Stores that ingest chunks and search them, and rerankers that reorder what was found."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

from attrs import field, frozen

from lmx_hookspecs.context import WorkerContext


@frozen(kw_only=True)
class Chunk:
    """A piece of a document with its embedding: float32, one length per collection."""

    id: str
    document_id: str
    text: str
    embedding: Sequence[float] | None = None
    metadata: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class Hit:
    """A chunk that matched, with its fused score and the score of each leg."""

    chunk: Chunk
    score: float
    legs: Mapping[str, float] = field(factory=dict)


class Retriever(Protocol):
    """A store of collections."""

    async def ingest(self, collection: str, chunks: Sequence[Chunk]) -> int:
        """Store chunks durably; those of a known document id replace it. Returns how many are new."""

    async def search(
        self,
        collection: str,
        *,
        text: str,
        embedding: Sequence[float] | None,
        top_k: int,
        mode: Literal["vector", "keyword", "hybrid"],
    ) -> Sequence[Hit]:
        """The best `top_k` hits, best first; raises NotFound for an unknown collection."""

    async def close(self) -> None:
        """Commit and close."""


@frozen(kw_only=True)
class RetrieverSpec:
    """A recipe for a store."""

    name: str
    open: Callable[[WorkerContext], Retriever]
    isolation: Literal["process", "inline"] = "process"


class Reranker(Protocol):
    """Scores documents against a query."""

    async def rerank(self, query: str, documents: Sequence[str]) -> Sequence[float]:
        """One relevance score per document, in their order; higher is better."""

    async def close(self) -> None:
        """Release the model."""


@frozen(kw_only=True)
class RerankerSpec:
    """A recipe for a reranker."""

    name: str
    open: Callable[[WorkerContext], Reranker]
    isolation: Literal["process", "inline"] = "process"
