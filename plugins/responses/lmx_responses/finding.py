"""Searches the vector stores of a request."""

from collections.abc import Sequence

from attrs import define, evolve, field

from lmx_hookspecs import Context, GenerationRequest
from lmx_hookspecs.queries import RetrieveRequest
from lmx_hookspecs.retrieval import Fusion
from lmx_hookspecs.retrieving import found_by_any, fusion_of
from lmx_responses.file_search import FileSearch
from lmx_responses.sources import Source, Sources

SEARCHED = "file_search"
"""The event that tells others which collections were searched: `{"collections": [...]}`."""


@define(eq=False)
class Finder:
    """Numbers what it finds, the best first."""

    ctx: Context
    tool: FileSearch
    request: GenerationRequest
    """On whose behalf."""
    _sources: Sources = field(factory=Sources)

    async def find(self, queries: Sequence[str], timeout_s: float | None) -> list[Source]:
        """The best chunks of all queries, each once; raises what `RetrievalService.retrieve` raises."""
        wanted = (self._wanted(query, timeout_s) for query in queries)
        found = await found_by_any(self.ctx.services.retrieval, wanted)
        self.ctx.services.events.publish(SEARCHED, {"collections": list(self.tool.stores)})
        return self._sources.numbered(found[: self.tool.max_results])

    def _wanted(self, query: str, timeout_s: float | None) -> RetrieveRequest:
        tool, request = self.tool, self.request
        return RetrieveRequest(
            query=query,
            collections=tool.stores,
            top_k=tool.max_results,
            min_score=tool.min_score,
            filter=tool.filter,
            fusion=self._fusion(),
            rerank=tool.rerank,
            rerank_final_k=tool.max_results,
            kept_only=True,
            surface=request.surface,
            request_id=request.request_id,
            priority=request.priority,
            key=request.key,
            client=request.client,
            timeout_s=timeout_s,
            lenient=request.lenient,
        )

    def _fusion(self) -> Fusion | None:
        if self.tool.weights is None:
            return None
        usual = fusion_of(self.ctx.services.config.section("rag"))
        vectors, words = self.tool.weights
        return evolve(usual, vector_weight=vectors, keyword_weight=words)
