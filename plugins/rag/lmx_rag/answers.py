"""The answers of `/v1/rag`."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen


@frozen(kw_only=True)
class IngestedAnswer:
    """What became of one document."""

    id: str
    title: str
    chunks: int
    tokens: int
    unchanged: bool
    """It was there already, and nothing was done."""


@frozen(kw_only=True)
class IngestAnswer:
    """What was stored, all of it durably."""

    collection: str
    documents_ingested: int
    documents_unchanged: int
    chunks_created: int
    document_ids: Sequence[str]
    """In the order of the request, the unchanged ones too."""
    documents: Sequence[IngestedAnswer]
    embedding_model: str
    embedding_dimensions: int
    duration_ms: float
    warnings: Sequence[str] = ()


@frozen(kw_only=True)
class ResultAnswer:
    """A chunk that was found."""

    id: str
    text: str
    score: float
    """What the results are ordered by."""
    metadata: Mapping[str, Any]
    """Of the document and the chunk, with the chunk's place in the document."""
    embedding: Sequence[float] | None
    document_id: str
    title: str
    """Of the document."""
    section: str
    """The headers that it stands under."""
    tokens: int
    relevance: float
    """From 0 to 1, meaning the same in every mode: what `min_score` is compared with."""
    legs: Mapping[str, float]
    """Raw score of each leg that found it: cosine similarity, BM25."""
    ranks: Mapping[str, int]
    """Its rank in each of these, from 1."""


@frozen(kw_only=True)
class QueryAnswer:
    """The best chunks, best first."""

    collection: str
    query: str
    results: Sequence[ResultAnswer]
    total_in_collection: int
    """Chunks."""
    duration_ms: float
    search_mode: str
    reranked_by: str | None = None
    """The model whose scores these are."""
    warnings: Sequence[str] = ()


@frozen(kw_only=True)
class SourceAnswer:
    """Where a chunk of the context comes from."""

    collection: str
    id: str
    score: float
    metadata: Mapping[str, Any]
    document_id: str
    title: str
    citation: int
    """The number of its part of the context."""


@frozen(kw_only=True)
class CitationAnswer:
    """A part of the context, by the number that stands in it: one chunk, or neighbours that were merged."""

    number: int
    collection: str
    document_id: str
    title: str
    chunk_ids: Sequence[str]
    score: float
    metadata: Mapping[str, Any]
    start: int
    end: int


@frozen(kw_only=True)
class ContextAnswer:
    """A text for a prompt, with what it was made from."""

    context: str
    sources: Sequence[SourceAnswer]
    """One for each chunk, in the order of the text."""
    citations: Sequence[CitationAnswer]
    total_chunks: int
    estimated_tokens: int
    """Exact, by the embedder's tokenizer."""
    skipped: int
    """Chunks that were found and did not fit."""
    duplicates: int
    """Chunks that were found and said what another one says."""
    duration_ms: float
    warnings: Sequence[str] = ()


@frozen(kw_only=True)
class CollectionAnswer:
    """A collection."""

    name: str
    document_count: int
    chunk_count: int
    embedding_dimensions: int
    embedding_model: str
    languages: Sequence[str]
    metadata: Mapping[str, Any]
    created_at: float
    vector_index: str


@frozen(kw_only=True)
class CollectionsAnswer:
    """All collections, by name."""

    total_documents: int
    total_chunks: int
    collection_count: int
    collections: Sequence[CollectionAnswer]


@frozen(kw_only=True)
class DroppedAnswer:
    """A collection is gone."""

    success: bool = True
    collection: str
    documents_deleted: int
    chunks_deleted: int


@frozen(kw_only=True)
class DocumentAnswer:
    """A document without its chunks; times are Unix times in seconds."""

    id: str
    title: str
    metadata: Mapping[str, Any]
    content_hash: str
    chunks: int
    tokens: int
    created_at: float
    updated_at: float


@frozen(kw_only=True)
class DocumentsAnswer:
    """A page of documents, by id."""

    collection: str
    documents: Sequence[DocumentAnswer]
    total: int
    """On all pages."""
    next: str | None
    """`after` of the next page; null on the last one."""


@frozen(kw_only=True)
class ChunkAnswer:
    """A chunk of a document."""

    id: str
    index: int
    text: str
    section: str
    start: int
    end: int
    tokens: int
    metadata: Mapping[str, Any]


@frozen(kw_only=True)
class StoredAnswer:
    """A document with its chunks."""

    document: DocumentAnswer
    chunks: Sequence[ChunkAnswer] = field(factory=tuple)


@frozen(kw_only=True)
class DeletedAnswer:
    """A document is gone."""

    success: bool = True
    collection: str
    document_id: str
