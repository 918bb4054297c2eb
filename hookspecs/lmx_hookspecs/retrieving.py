"""The kernel's retrieval service, which joins a store, the readers and chunkers, the embedder and the reranker."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import Any, Protocol

from lmx_hookspecs.ingestion import IngestReport, IngestRequest
from lmx_hookspecs.queries import AssembledContext, ContextRequest, FoundChunk, Retrieval, RetrieveRequest
from lmx_hookspecs.retrieval import Fusion, Retriever

Keeper = Callable[[str, Sequence[str]], Awaitable[Collection[str] | None]]
"""Says which of these documents a collection has; None for a collection that it does not keep.

It knows of a deletion at once, the store only when it is made.
"""


class RetrievalService(Protocol):
    """Documents in, answers out: reading, cutting, embedding, storing, searching, reranking and assembling.

    Every method raises Unavailable (`retrieval_unavailable`) where `rag.enabled` is off or no store is active.
    """

    @property
    def store(self) -> Retriever:
        """The store that `rag.store` names, for what needs neither a model nor a document's text.

        A stand-in that starts the store's process where it does not run, and restarts one that died.
        """

    def add_keeper(self, keeper: Keeper) -> None:
        """Have `keeper` asked after every search with `kept_only`, from now on; what it raises fails the search."""

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


def fusion_of(rag: Any) -> Fusion:
    """How hits are fused unless a request says otherwise, by the section `rag`."""
    return Fusion(
        method=rag.fusion, k=rag.rrf_k, vector_weight=rag.rrf_vector_weight, keyword_weight=rag.rrf_keyword_weight
    )


async def found_by_any(service: RetrievalService, requests: Iterable[RetrieveRequest]) -> list[FoundChunk]:
    """What several questions find together: each chunk once, with its best score, the best first.

    Raises what `RetrievalService.retrieve` raises.
    """
    best: dict[tuple[str, str, int], FoundChunk] = {}
    for request in requests:
        for one in (await service.retrieve(request)).found:
            place = one.collection, one.hit.document_id, one.hit.chunk.index
            if place not in best or best[place].score < one.score:
                best[place] = one
    return sorted(best.values(), key=lambda one: -one.score)
