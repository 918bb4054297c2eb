"""The kernel's retrieval service, which joins a store, the readers and chunkers, the embedder and the reranker."""

from typing import Protocol

from lmx_hookspecs.ingestion import IngestReport, IngestRequest
from lmx_hookspecs.queries import AssembledContext, ContextRequest, Retrieval, RetrieveRequest
from lmx_hookspecs.retrieval import Retriever


class RetrievalService(Protocol):
    """Documents in, answers out: reading, cutting, embedding, storing, searching, reranking and assembling.

    Every method raises Unavailable (`retrieval_unavailable`) where `rag.enabled` is off or no store is active.
    """

    @property
    def store(self) -> Retriever:
        """The store that `rag.store` names, for what needs neither a model nor a document's text.

        A stand-in that starts the store's process where it does not run, and restarts one that died.
        """

    async def ingest(self, request: IngestRequest) -> IngestReport:
        """Read, cut, embed and store: all documents or none.

        Raises NotFound (`collection_not_found`) for a collection of another key, InvalidRequest (`empty_content`,
        `unreadable_file`, `unsupported_file`, `file_too_large`, `dimension_mismatch`), Conflict
        (`embedding_model_mismatch`, and `collection_changed` where the collection was deleted in the meantime), and
        what `Services.embed` raises.
        """

    async def retrieve(self, request: RetrieveRequest) -> Retrieval:
        """Search, and rerank where that is asked for.

        Raises NotFound (`collection_not_found`), also for those of another key, InvalidRequest (`invalid_filter`),
        and what `Services.embed` and `Services.rerank` raise.
        """

    async def assemble(self, request: ContextRequest) -> AssembledContext:
        """Retrieve, and make one text of what was found; raises what `retrieve` raises."""
