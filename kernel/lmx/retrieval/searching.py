"""Embed the question, search the collections, put their hits together, and rerank them where that is asked for."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice
from typing import Any

from attrs import evolve, field, frozen

from lmx.config.rag import Rag
from lmx.names import AUTO
from lmx.retrieval.embedding import Embed, Embedder, envelope
from lmx.retrieval.keeping import kept_results
from lmx_hookspecs.embedding import Reranking, RerankRequest
from lmx_hookspecs.errors import Conflict, EngineFailed, InvalidRequest
from lmx_hookspecs.ownership import collection_for
from lmx_hookspecs.queries import FoundChunk, Retrieval, RetrieveRequest
from lmx_hookspecs.retrieval import CollectionInfo, Retriever, Search, SearchResult
from lmx_hookspecs.retrieving import Keeper, fusion_of

Rerank = Callable[[RerankRequest], Awaitable[Reranking]]
MOST_HITS = 1000


@frozen(kw_only=True)
class Reordering:
    """How many hits go to the reranker, and how many are kept of them."""

    model: str
    initial_k: int
    final_k: int


@frozen(kw_only=True)
class Searching:
    """Answers questions, by the section `rag` as it is now."""

    rag: Rag
    store: Retriever
    embed: Embed
    rerank: Rerank
    keepers: Sequence[Keeper] = ()
    _tokens: list[int] = field(factory=list, init=False)
    """Of the embeddings of this question."""

    async def run(self, request: RetrieveRequest, *, of_each: bool = False) -> Retrieval:
        """The best chunks of all collections together; `of_each` keeps so many of each."""
        reordering = self._reordering(request)
        _check(request)
        infos = await asyncio.gather(
            *(collection_for(self.store, name, request.key) for name in dict.fromkeys(request.collections))
        )
        top_k = reordering.initial_k if reordering else request.top_k
        results = await self._search(request, infos, top_k)
        if request.kept_only:
            results = await kept_results(self.keepers, results)
        found = self._merged(request, infos, results)
        most = len(found) if of_each and not reordering else top_k
        retrieval = Retrieval(
            found=found[:most],
            totals={name: result.total_in_collection for name, result in results.items()},
            query_tokens=sum(self._tokens),
        )
        return await self._reranked(request, retrieval, reordering) if reordering else retrieval

    def _merged(
        self, request: RetrieveRequest, infos: Sequence[CollectionInfo], results: Mapping[str, SearchResult]
    ) -> list[FoundChunk]:
        """All hits, the best first.

        Scores of different embedding models mean different things: they are ranked apart, and fused by ranks (RRF).
        """
        by_space: dict[Any, list[FoundChunk]] = {}
        for info in infos:
            space = None if request.mode == "keyword" else _space(info)
            by_space.setdefault(space, []).extend(
                FoundChunk(collection=info.name, hit=hit, score=hit.score) for hit in results[info.name].hits
            )
        rankings = [sorted(found, key=_by_score) for found in by_space.values()]
        if len(rankings) == 1:
            return rankings[0]
        k = (request.fusion or fusion_of(self.rag)).k
        ranked = [evolve(one, score=1 / (k + rank)) for found in rankings for rank, one in enumerate(found, start=1)]
        return sorted(ranked, key=_by_score)

    def _reordering(self, request: RetrieveRequest) -> Reordering | None:
        rag = self.rag
        if not (rag.rerank_enabled if request.rerank is None else request.rerank):
            return None
        final_k = request.rerank_final_k or rag.rerank_final_k
        initial_k = request.rerank_initial_k or max(rag.rerank_initial_k, final_k)
        if not 1 <= final_k <= initial_k <= MOST_HITS:
            told = f"rerank_initial_k is {initial_k} and rerank_final_k {final_k}; the first must not be less"
            raise InvalidRequest(told, param="rerank_initial_k")
        return Reordering(
            model=request.rerank_model or rag.reranker_model or AUTO, initial_k=initial_k, final_k=final_k
        )

    async def _search(
        self, request: RetrieveRequest, infos: Sequence[CollectionInfo], top_k: int
    ) -> Mapping[str, SearchResult]:
        vectors = {} if request.mode == "keyword" else await self._vectors(request, infos)
        searches = [
            self.store.search(info.name, self._asked(request, top_k, vectors.get(_space(info), b""))) for info in infos
        ]
        return dict(zip((info.name for info in infos), await asyncio.gather(*searches), strict=True))

    def _asked(self, request: RetrieveRequest, top_k: int, embedding: bytes) -> Search:
        return Search(
            text=request.query,
            embedding=embedding,
            mode=request.mode,
            top_k=top_k,
            min_score=request.min_score,
            filter=request.filter,
            fusion=request.fusion or fusion_of(self.rag),
            with_embeddings=request.with_embeddings,
        )

    async def _vectors(
        self, request: RetrieveRequest, infos: Sequence[CollectionInfo]
    ) -> Mapping[tuple[str, int], bytes]:
        """The question in each of the spaces that the collections have."""
        spaces = list(dict.fromkeys(_space(info) for info in infos))
        vectors = await asyncio.gather(*(self._vector(request, *space) for space in spaces))
        return dict(zip(spaces, vectors, strict=True))

    async def _vector(self, request: RetrieveRequest, model: str, dimensions: int) -> bytes:
        embedder = Embedder(embed=self.embed, model=request.model or model, dimensions=dimensions, request=request)
        made = await embedder.vectors_of([request.query])
        self._tokens.append(made.tokens)
        if made.model == model:
            return made.vectors[0]
        if request.model:
            raise Conflict(
                f"the collection holds vectors of {model!r}, and {made.model!r} would embed the query; leave model out",
                code="embedding_model_mismatch",
                param="model",
            )
        raise EngineFailed(f"the collection holds vectors of {model!r}, and only {made.model!r} is there to embed now")

    async def _reranked(self, request: RetrieveRequest, retrieval: Retrieval, reordering: Reordering) -> Retrieval:
        if not retrieval.found:
            return retrieval
        asked = RerankRequest(
            model=reordering.model,
            query=request.query,
            documents=[one.hit.chunk.text for one in retrieval.found],
            top_n=reordering.final_k,
            **envelope(request),
        )
        answer = await self.rerank(asked)
        best = islice(answer.results, reordering.final_k)
        found = [evolve(retrieval.found[ranked.index], score=ranked.score) for ranked in best]
        return evolve(retrieval, found=found, reranked_by=answer.model)


def _by_score(one: FoundChunk) -> tuple[float, float]:
    return -one.score, -one.hit.relevance


def _space(info: CollectionInfo) -> tuple[str, int]:
    return info.embedding_model, info.dimensions


def _check(request: RetrieveRequest) -> None:
    if not request.query.strip():
        raise InvalidRequest("query is empty; ask something", param="query")
    if not request.collections:
        raise InvalidRequest("no collection is named; name at least one", param="collection")
    if not 1 <= request.top_k <= MOST_HITS:
        raise InvalidRequest(f"top_k is {request.top_k}; it has to be from 1 to {MOST_HITS}", param="top_k")
