"""Asks a server each query in one kind of search, and makes a ranking of documents of what it answers."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any

from attrs import field, frozen

from lmx_hookspecs import ServerClient
from lmx_rag.commands.parallel import in_parallel

RERANKED = "hybrid+rerank"
MODES = ("vector", "keyword", "hybrid", RERANKED)
DEPTH = 100
"""Chunks of a ranking: what recall@100 needs."""
RERANKED_DEPTH = 50
"""The best of these that a reranker puts in a new order; the others keep theirs, behind them."""


@frozen(kw_only=True)
class Asker:
    """Who asks what of which collection."""

    server: ServerClient
    collection: str
    mode: str
    options: Mapping[str, Any] = field(factory=dict)
    """More fields of `POST /v1/rag/query`."""

    def rankings(self, queries: Mapping[str, str], jobs: int) -> Mapping[str, Sequence[str]]:
        """A ranking of document ids for each query; raises LmxError.

        A reranker scores for one query at a time: more of them would only wait, and be refused where it is slow.
        """
        at_once = 1 if self.mode == RERANKED else jobs
        with closing(in_parallel(self._ranking, list(queries.items()), at_once)) as rankings:
            return dict(rankings)

    def _ranking(self, query: tuple[str, str]) -> tuple[str, Sequence[str]]:
        query_id, text = query
        if self.mode != RERANKED:
            return query_id, self._searched(text, self.mode)
        reranked = self._found(
            text, search_mode="hybrid", rerank=True, rerank_initial_k=RERANKED_DEPTH, rerank_final_k=RERANKED_DEPTH
        )
        return query_id, list(dict.fromkeys([*documents_of(reranked), *self._searched(text, "hybrid")]))

    def _searched(self, text: str, mode: str) -> Sequence[str]:
        return documents_of(self._found(text, search_mode=mode, top_k=DEPTH, rerank=False))

    def _found(self, text: str, **asked: Any) -> Sequence[Mapping[str, Any]]:
        body = {"collection": self.collection, "query": text, **asked, **self.options}
        found: Sequence[Mapping[str, Any]] = self.server.post("/v1/rag/query", body)["results"]
        return found


def documents_of(chunks: Iterable[Mapping[str, Any]]) -> Sequence[str]:
    """The documents of these chunks, each once, where its best chunk stands."""
    return list(dict.fromkeys(chunk["document_id"] for chunk in chunks))
