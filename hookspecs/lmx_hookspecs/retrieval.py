"""Stores that keep collections of chunks and search them.

A store knows vectors and words, and nothing of models: who ingests and searches brings the embeddings along. They
travel as bytes: 32-bit floats, little-endian, as many as the collection has dimensions.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from attrs import field, frozen

SearchMode = Literal["vector", "keyword", "hybrid"]
FusionMethod = Literal["rrf", "weighted_sum"]


@frozen(kw_only=True)
class Chunk:
    """A piece of a document: what is embedded and found."""

    index: int
    """Its place in the document, from 0."""
    text: str
    start: int = 0
    """With `end`: where it stands in the document's text, in characters."""
    end: int = 0
    tokens: int = 0
    """By the embedder's tokenizer."""
    title: str = ""
    """What it stands under: headers, from the outermost; searched with a boost."""
    metadata: Mapping[str, Any] = field(factory=dict)
    """Of this chunk; that of its document holds for it as well."""
    embedding: bytes = b""


def chunk_id(document_id: str, index: int) -> str:
    """The name of a chunk within its collection."""
    return f"{document_id}#{index}"


@frozen(kw_only=True)
class Document:
    """What is stored and deleted as one."""

    id: str
    title: str = ""
    metadata: Mapping[str, Any] = field(factory=dict)
    content_hash: str = ""
    """Of what it was made from and how, so that what has not changed need not be embedded again; empty says nothing."""
    chunks: Sequence[Chunk] = ()


@frozen(kw_only=True)
class CollectionSettings:
    """What holds for a whole collection from its first document on."""

    embedding_model: str
    dimensions: int
    languages: Sequence[str] = ("en",)
    """ISO 639-1 codes of the languages whose words are stemmed; other words are indexed as they are."""
    metadata: Mapping[str, Any] = field(factory=dict)
    owner: str | None = None
    """Whose it is (`ownership.owner_of`); None is everybody's. A store keeps that, and asks nobody for a key."""


@frozen(kw_only=True)
class CollectionInfo:
    """A collection as operators see it."""

    name: str
    embedding_model: str
    dimensions: int
    languages: Sequence[str]
    metadata: Mapping[str, Any]
    documents: int
    chunks: int
    created_at: float
    """Unix time in seconds."""
    vector_index: str
    """What its vectors are searched with at the moment, such as `flat`."""
    owner: str | None = None
    """As in its CollectionSettings."""
    id: str = ""
    """Its own, and never that of another one, also where one is deleted and made again under the same name."""


@frozen(kw_only=True)
class DocumentInfo:
    """A document without its chunks."""

    id: str
    title: str
    metadata: Mapping[str, Any]
    content_hash: str
    chunks: int
    tokens: int
    created_at: float
    """Unix time in seconds, as `updated_at`."""
    updated_at: float


@frozen(kw_only=True)
class Fusion:
    """How the two legs of a hybrid search become one ranking.

    `rrf` is Reciprocal Rank Fusion, the sum of weight / (k + rank) with ranks from 1 (Cormack, Clarke and Büttcher,
    SIGIR 2009); `weighted_sum` adds the scores of each leg, normalised to 0..1 within it, times its weight. What
    is similar to nothing (a cosine of 0 or less) gets nothing from that leg.
    """

    method: FusionMethod = "rrf"
    k: int = 60
    vector_weight: float = 1.0
    keyword_weight: float = 1.0


@frozen(kw_only=True)
class Search:
    """One search of one collection."""

    text: str = ""
    """Needed by the modes `keyword` and `hybrid`."""
    embedding: bytes = b""
    """Needed by the modes `vector` and `hybrid`."""
    mode: SearchMode = "hybrid"
    top_k: int = 5
    min_score: float = 0.0
    """Hits whose `relevance` is lower are left out, in every mode."""
    filter: Mapping[str, Any] | None = None
    """Which chunks may be found, as `filters.py` reads it; applied within both legs, before their best are taken."""
    fusion: Fusion = Fusion()
    with_embeddings: bool = False


@frozen(kw_only=True)
class Hit:
    """A chunk that was found."""

    document_id: str
    chunk: Chunk
    """Its `embedding` is there where it was asked for."""
    document_title: str
    metadata: Mapping[str, Any]
    """Of the document, then of the chunk."""
    score: float
    """What the hits are ordered by: the fused score, or in a mode with one leg that leg's."""
    relevance: float
    """From 0 to 1, meaning the same in every mode and for every query: the better of the cosine similarity (negative
    ones are 0) and the share of the query's words that it has, weighed by how rare they are in the collection; only
    legs that found it count."""
    legs: Mapping[str, float]
    """Raw scores of the legs that found it: `vector` the cosine similarity, `keyword` BM25."""
    ranks: Mapping[str, int]
    """Its rank in each of these, from 1."""


@frozen(kw_only=True)
class SearchResult:
    """The best hits, best first, of so many chunks."""

    hits: Sequence[Hit]
    total_in_collection: int


@frozen(kw_only=True)
class Page:
    """Some documents of a collection, in the order of their ids."""

    documents: Sequence[DocumentInfo]
    total: int
    """Documents that match, on all pages."""


@frozen(kw_only=True)
class StoredDocument:
    """A document as it was stored; without embeddings."""

    info: DocumentInfo
    chunks: Sequence[Chunk]


class Retriever(Protocol):
    """A store of collections. Calls may come at the same time; what one has acknowledged, the next one sees.

    Raises NotFound (`collection_not_found`, `document_not_found`) and InvalidRequest (`dimension_mismatch`,
    `invalid_vector`, `invalid_filter`).
    """

    async def create(self, collection: str, settings: CollectionSettings) -> CollectionInfo:
        """Make an empty collection; raises Conflict (`collection_exists`)."""

    async def ingest(
        self, collection: str, settings: CollectionSettings, documents: Sequence[Document], *, into: str = ""
    ) -> None:
        """Store documents, each in place of an earlier one with its id: all of them durably, or none.

        `into` is the id of the collection that they were made for: raises Conflict (`collection_changed`) where it is
        gone, or another one has its name by now. Empty makes the collection where there is none, and raises the same
        for one of another owner. Raises Conflict (`embedding_model_mismatch`) where it holds vectors of another model.
        """

    async def search(self, collection: str, search: Search) -> SearchResult:
        """Find chunks; sees everything that was acknowledged before."""

    async def collections(self) -> Sequence[CollectionInfo]:
        """All, by name."""

    async def collection(self, collection: str) -> CollectionInfo:
        """One."""

    async def drop(self, collection: str) -> int:
        """Delete a collection; returns how many chunks it held."""

    async def documents(
        self, collection: str, *, after: str = "", limit: int = 100, filter: Mapping[str, Any] | None = None
    ) -> Page:
        """Those whose id comes after `after`, by id."""

    async def document(self, collection: str, document_id: str) -> StoredDocument:
        """One, with its chunks."""

    async def hashes(self, collection: str, document_ids: Sequence[str]) -> Mapping[str, str]:
        """The content hashes of those that are there; none for an unknown collection."""

    async def update_metadata(self, collection: str, document_id: str, metadata: Mapping[str, Any]) -> DocumentInfo:
        """Replace a document's metadata, without embedding anything again.

        Where that changes them its content hash is empty from then on: it is no longer as it was made.
        """

    async def delete(self, collection: str, document_ids: Sequence[str]) -> int:
        """Delete documents; returns how many were there."""

    async def snapshot(self, collection: str, file: Path) -> int:
        """Write a consistent copy of one collection to a new file; returns its chunks. Raises Conflict if it exists."""

    async def restore(self, file: Path, collection: str) -> CollectionInfo:
        """Make a collection from a snapshot, all of it or nothing.

        Raises Conflict (`collection_exists`), and InvalidRequest (`invalid_snapshot`) for a file that is none.
        """

    async def describe(self) -> Mapping[str, Any]:
        """Plain facts for operators, `memory_bytes` among them."""

    async def close(self) -> None:
        """Commit what is pending and close."""
