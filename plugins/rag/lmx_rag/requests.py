"""The bodies and query parameters of `/v1/rag`. Names, ranges and defaults are those of Opta-LMX where it had them."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from lmx_hookspecs import option

MAX_NAME = 64
"""Characters of a collection's name."""
MAX_DOCUMENTS = 1000
"""Of one request, whatever `rag.max_documents_per_ingest` says."""
MODES = ("vector", "keyword", "hybrid")


def _collection() -> Any:
    return option(doc="name of the collection", min_length=1, max_length=MAX_NAME)


def _size() -> Any:
    return option(None, "tokens of a chunk at most; null is rag.default_chunk_size", ge=64, le=2048)


def _overlap() -> Any:
    return option(
        None,
        "tokens that a chunk repeats of the one before; less than chunk_size; null is "
        "rag.default_chunk_overlap, or half a chunk where that is too much",
        ge=0,
        le=512,
    )


def _chunking() -> Any:
    return option(
        None,
        "auto, text or fixed, markdown_headers, code, none, or a chunker of a plugin; null is rag.chunking_strategy",
        min_length=1,
        max_length=128,
    )


def _ids(doc: str) -> Any:
    return option(None, f"{doc}: what has it already is replaced; null makes new ones", max_length=MAX_DOCUMENTS)


def _skip() -> Any:
    return option(False, "leave documents alone that are there already, made from the same content in the same way")


def _model() -> Any:
    return option(
        None, "embedding model; null is the collection's, for a new one that of the section rag", min_length=1
    )


@frozen(kw_only=True)
class IngestBody:
    """Texts for a collection, which is made where there is none."""

    collection: str = _collection()
    documents: Sequence[str] = option(doc="texts", min_length=1, max_length=MAX_DOCUMENTS)
    metadata: Sequence[Mapping[str, Any]] | None = option(
        None, "plain data of each document, in their order; the rest have none", max_length=MAX_DOCUMENTS
    )
    titles: Sequence[str] | None = option(None, "title of each document, in their order", max_length=MAX_DOCUMENTS)
    document_ids: Sequence[str] | None = _ids("id of each document")
    chunking: str | None = _chunking()
    chunk_size: int | None = _size()
    chunk_overlap: int | None = _overlap()
    model: str | None = _model()
    skip_unchanged: bool = _skip()


@frozen(kw_only=True)
class UploadBody:
    """What is said of uploaded files; each becomes a document."""

    collection: str = _collection()
    metadata: Sequence[Mapping[str, Any]] | Mapping[str, Any] | None = option(
        None, "plain data of each file, in their order, or one object for all of them"
    )
    titles: Sequence[str] | None = option(None, "title of each file, in their order", max_length=MAX_DOCUMENTS)
    document_ids: Sequence[str] | None = _ids("id of each file")
    chunking: str | None = _chunking()
    chunk_size: int | None = _size()
    chunk_overlap: int | None = _overlap()
    model: str | None = _model()
    skip_unchanged: bool = _skip()


@frozen(kw_only=True)
class QueryBody:
    """A question to one collection."""

    collection: str = _collection()
    query: str = option(doc="what to look for", min_length=1)
    top_k: int = option(5, "results at most", ge=1, le=200)
    min_score: float = option(0.0, "least relevance of a result, which means the same in every mode", ge=0, le=1)
    model: str | None = option(None, "must be the collection's embedding model", min_length=1)
    include_embeddings: bool = option(False, "give the vector of each result")
    search_mode: str = option("vector", "which legs search", choices=MODES)
    filter: Mapping[str, Any] | None = option(None, "on metadata, as OpenAI's vector stores have it")
    fusion: str | None = option(
        None, "how the legs of a hybrid search are fused; null is rag.fusion", choices=("rrf", "weighted_sum")
    )
    rrf_k: int | None = option(None, "null is rag.rrf_k", ge=1, le=200)
    rrf_vector_weight: float | None = option(None, "null is rag.rrf_vector_weight", ge=0, le=5)
    rrf_keyword_weight: float | None = option(None, "null is rag.rrf_keyword_weight", ge=0, le=5)
    rerank: bool | None = option(None, "rerank what is found; null is rag.rerank_enabled")
    rerank_model: str | None = option(None, "null is rag.reranker_model", min_length=1)
    rerank_top_k: int | None = option(None, "the same as rerank_final_k", ge=1, le=50)
    rerank_initial_k: int | None = option(None, "hits that are reranked; null is rag.rerank_initial_k", ge=1, le=200)
    rerank_final_k: int | None = option(
        None, "results where reranking is done, in place of top_k; null is rag.rerank_final_k", ge=1, le=50
    )


@frozen(kw_only=True)
class ContextBody:
    """A question whose answers become one text for a prompt."""

    query: str = option(doc="what to look for", min_length=1)
    collections: Sequence[str] = option(doc="names of the collections", min_length=1, max_length=64)
    top_k_per_collection: int = option(3, "chunks of each collection at most", ge=1, le=20)
    min_score: float = option(0.1, "least relevance of a chunk", ge=0, le=1)
    max_context_tokens: int = option(4096, "of the whole text, by the embedder's tokenizer", ge=256, le=32_768)
    model: str | None = option(None, "must be the collections' embedding model", min_length=1)
    search_mode: str = option("vector", "which legs search", choices=MODES)
    filter: Mapping[str, Any] | None = option(None, "on metadata, as OpenAI's vector stores have it")
    fusion: str | None = option(
        None, "how the legs of a hybrid search are fused; null is rag.fusion", choices=("rrf", "weighted_sum")
    )
    rrf_k: int | None = option(None, "null is rag.rrf_k", ge=1, le=200)
    rrf_vector_weight: float | None = option(None, "null is rag.rrf_vector_weight", ge=0, le=5)
    rrf_keyword_weight: float | None = option(None, "null is rag.rrf_keyword_weight", ge=0, le=5)
    rerank: bool | None = option(None, "rerank what is found; null is rag.rerank_enabled")
    rerank_model: str | None = option(None, "null is rag.reranker_model", min_length=1)
    rerank_initial_k: int | None = option(None, "hits that are reranked; null is rag.rerank_initial_k", ge=1, le=200)
    rerank_final_k: int | None = option(None, "chunks that are kept of these", ge=1, le=50)


@frozen(kw_only=True)
class CreateBody:
    """A collection to be."""

    name: str = _collection()
    embedding_model: str | None = option(None, "null is that of the section rag", min_length=1)
    dimensions: int | None = option(None, "length of the vectors, for models that can shorten them", ge=1, le=65_536)
    languages: Sequence[str] | None = option(None, "languages whose words are stemmed; null is rag.languages")
    metadata: Mapping[str, Any] = option(factory=dict, doc="plain data of the collection")


@frozen(kw_only=True)
class MetadataBody:
    """What a document's metadata becomes."""

    metadata: Mapping[str, Any] = option(doc="all of it: what is not here is gone")


@frozen(kw_only=True)
class DocumentsQuery:
    """Which documents are listed."""

    after: str = option("", "only those whose id comes after this one: `next` of the page before")
    limit: int = option(100, "documents of a page at most", ge=1, le=1000)
    filter: str | None = option(None, "a filter on metadata, as JSON", max_length=16_384)
