"""What the kernel's retrieval service is asked to find, and what it answers."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from lmx_hookspecs.generation import Priority
from lmx_hookspecs.retrieval import Fusion, Hit, SearchMode


@frozen(kw_only=True)
class RetrieveRequest:
    """A question to one or several collections. The fields from `request_id` on are those of a GenerationRequest.

    What is None is what the section `rag` says.
    """

    query: str
    collections: Sequence[str]
    """Never empty; the best hits of all of them together are wanted."""
    top_k: int = 5
    mode: SearchMode = "hybrid"
    min_score: float = 0.0
    """Of a hit's relevance from 0 to 1; of a reranker's scores, which have no scale, nothing is asked."""
    filter: Mapping[str, Any] | None = None
    """As `filters.py` reads it."""
    fusion: Fusion | None = None
    rerank: bool | None = None
    rerank_model: str | None = None
    rerank_initial_k: int | None = None
    """So many hits of the search are reranked."""
    rerank_final_k: int | None = None
    """So many of these are kept; where reranking was asked for, in place of `top_k`."""
    model: str | None = None
    """Embeds the query; None is the model of each collection, and another one is refused."""
    with_embeddings: bool = False
    kept_only: bool = False
    """Leave out documents that the keeper of a collection (`RetrievalService.add_keeper`) does not vouch for."""

    request_id: str = ""
    surface: str = "rag"
    stream: bool = False
    priority: Priority = "normal"
    key: str | None = None
    client: str | None = None
    timeout_s: float | None = None
    lenient: bool = False


@frozen(kw_only=True)
class FoundChunk:
    """A hit with the collection that it came from."""

    collection: str
    hit: Hit
    score: float
    """What the answer is ordered by: the reranker's score, else the hit's; of several embedding models 1 / (k + rank).

    The rank is that among all hits of its model.
    """


@frozen(kw_only=True)
class Retrieval:
    """The best chunks, best first."""

    found: Sequence[FoundChunk]
    totals: Mapping[str, int]
    """Chunks of each collection that was asked."""
    reranked_by: str = ""
    """The model whose scores these are; empty where nothing was reranked."""
    query_tokens: int = 0
    """What embedding the query took."""
    warnings: Sequence[str] = ()


@frozen(kw_only=True)
class ContextRequest:
    """A retrieval whose hits become one text for a prompt."""

    retrieve: RetrieveRequest
    """Its `top_k` is that of each collection."""
    max_tokens: int = 4096
    """Of the whole text, by the embedder's tokenizer; what does not fit is skipped, and smaller ones behind it may."""


@frozen(kw_only=True)
class Citation:
    """A part of the context, by the number that stands in it: one chunk, or neighbours that were merged."""

    number: int
    collection: str
    document_id: str
    document_title: str
    chunk_ids: Sequence[str]
    score: float
    metadata: Mapping[str, Any]
    start: int
    """With `end`: where it stands in the document's text, in characters."""
    end: int


@frozen(kw_only=True)
class AssembledContext:
    """A context within its budget, with what it was made from."""

    text: str
    tokens: int
    """Exact, by the embedder's tokenizer."""
    citations: Sequence[Citation]
    """In the order of the text."""
    chunks: int
    skipped: int
    """Chunks that were found and did not fit."""
    duplicates: int
    """Chunks that were found and said what another one says."""
    warnings: Sequence[str] = ()
