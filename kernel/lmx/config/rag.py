"""The section `rag`: what is stored, and how it is cut, embedded, searched and reranked."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import Attribute, frozen

from lmx_hookspecs import option

STORE_FOLDER = "rag"
"""Of the store's data, in the folder of LMX's data."""


@frozen(kw_only=True)
class Rag:
    """Retrieval: documents in, answers out."""

    enabled: bool = option(True, "offer retrieval: /v1/rag, vector stores, `lmx rag`")
    store: str = option("hybrid", "the store that keeps the collections, by the name that its plugin gives it")
    persist_path: Path | None = option(None, "folder of the store's data; null is `rag` in the folder of LMX's data")
    auto_persist: bool = option(
        True, "acknowledge an ingest once it outlives a power failure; false: once it outlives the server's end"
    )
    default_chunk_size: int = option(512, "tokens of a chunk at most", ge=64, le=2048, restart=False)
    default_chunk_overlap: int = option(
        64, "tokens that a chunk repeats of the one before; less than default_chunk_size", ge=0, le=512, restart=False
    )
    chunking_strategy: str = option(
        "auto",
        "how documents are cut: fixed, markdown_headers, code, none, or one of a plugin; auto leaves it to the reader",
        restart=False,
    )
    max_documents_per_ingest: int = option(100, "documents of one request at most", ge=1, le=1000, restart=False)
    max_file_bytes: int = option(100 * 2**20, "largest file that is read", ge=2**10, le=2**34, restart=False)
    max_document_chars: int = option(
        50_000_000, "characters of one document at most; archives count unpacked", ge=1000, restart=False
    )
    read_timeout_sec: float = option(
        120.0, "seconds that reading and cutting one document may take, for each 10 MB of it", gt=0, le=3600
    )
    languages: Sequence[str] = option(
        ("en",), "languages whose words new collections stem, as ISO 639-1 codes", restart=False
    )
    embedding_model: str | None = option(
        None, "embeds the documents of new collections; null is the model that `auto` stands for", restart=False
    )
    embedding_dimensions: int | None = option(
        None,
        "length of the vectors of new collections, for models that can shorten them",
        ge=64,
        le=4096,
        restart=False,
    )
    embedding_batch_size: int = option(64, "chunks that are embedded in one call", ge=1, le=2048, restart=False)
    fusion: str = option(
        "rrf", "how the legs of a hybrid search are fused", choices=("rrf", "weighted_sum"), restart=False
    )
    rrf_k: int = option(60, "k of Reciprocal Rank Fusion", ge=1, le=200, restart=False)
    rrf_vector_weight: float = option(1.0, "weight of the vector leg, in either fusion", ge=0, le=5, restart=False)
    rrf_keyword_weight: float = option(1.0, "weight of the keyword leg, in either fusion", ge=0, le=5, restart=False)
    rerank_enabled: bool = option(False, "rerank what queries find unless they say otherwise", restart=False)
    reranker_model: str | None = option(None, "the model that reranks; null is the helper node for it", restart=False)
    rerank_initial_k: int = option(50, "hits that are reranked", ge=5, le=200, restart=False)
    rerank_final_k: int = option(5, "hits that are kept of these", ge=1, le=50, restart=False)
    watch: Mapping[str, Sequence[Path]] = option(
        factory=dict, doc="folders whose files are kept in a collection, by its name; they follow every change"
    )

    @default_chunk_overlap.validator
    def _less_than_a_chunk(self, attribute: "Attribute[int]", value: int) -> None:
        if value >= self.default_chunk_size:
            raise ValueError(f"must be less than default_chunk_size, which is {self.default_chunk_size}", attribute)

    @languages.validator
    def _some_codes(self, attribute: "Attribute[Any]", value: Sequence[str]) -> None:
        if not all(len(code) == 2 and code.isalpha() and code.islower() for code in value):
            raise ValueError("must be ISO 639-1 codes such as en", attribute)
