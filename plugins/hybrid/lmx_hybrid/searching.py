"""One search, in a thread: which chunks may be found, what each leg finds, and the rows of the best."""

import json
import sqlite3
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import chain
from threading import Lock
from typing import Any

import numpy as np
from attrs import define, field, frozen

from lmx_hookspecs.filters import Filter
from lmx_hookspecs.retrieval import Hit, Search, SearchResult
from lmx_hybrid.collection import Live
from lmx_hybrid.database import Database
from lmx_hybrid.filter_sql import of_chunks, of_documents
from lmx_hybrid.flat import Ids
from lmx_hybrid.fusion import KEYWORD, VECTOR, Fused, Ranking, fuse, relevance, single
from lmx_hybrid.records import chunk_of
from lmx_hybrid.schema import LIVING

ROW = (
    'SELECT c.id, d.name, d.title, d.metadata, c.place, c.start, c."end", c.tokens, c.metadata, t.title, t.text, {}'  # noqa: S608  constants
    f" FROM {LIVING} JOIN texts t ON t.id = c.id {{}} WHERE c.id IN ({{}})"
)
ALLOWED = (
    f"SELECT c.id FROM {LIVING} WHERE c.collection = ? AND CASE WHEN c.metadata"  # noqa: S608
    " IS NULL THEN c.document IN (SELECT d.id FROM documents d WHERE d.collection = ? AND {}) ELSE {} END ORDER BY c.id"
)


@frozen(kw_only=True)
class Found:
    """What a search has found; `complete` unless some of it was deleted while it ran."""

    result: SearchResult
    complete: bool


@define(eq=False)
class Searcher:
    """Runs searches in threads, and remembers which chunks passed the last filters."""

    database: Database
    candidates: int
    remembered: int
    _allowed: OrderedDict[tuple[int, str], tuple[Any, Ids]] = field(factory=OrderedDict, init=False)
    _lock: Lock = field(factory=Lock, init=False)

    def find(self, live: Live, search: Search, filter: Filter | None) -> Found:
        """Run the legs that are needed, fuse them, and read what the best hits are."""
        allowed = None if filter is None else self._allowed_ids(live, filter)
        rankings = _rankings(live, search, allowed, _depth(search, self.candidates))
        best = _best(live, rankings, search)
        with self.database.reading() as connection:
            rows = _rows(connection, [one.id for one, _ in best], with_embeddings=search.with_embeddings)
            total = connection.execute("SELECT chunks FROM collections WHERE id = ?", (live.id,)).fetchone()
        hits = [_hit(one, share, rows[one.id]) for one, share in best if one.id in rows]
        result = SearchResult(hits=hits, total_in_collection=total[0] if total else 0)
        return Found(result=result, complete=len(hits) == len(best))

    def _allowed_ids(self, live: Live, filter: Filter) -> Ids:
        """By the filter's text: to a dictionary, True and 1 are the same."""
        key, version = (live.id, repr(filter)), live.version
        with self._lock:
            known = self._allowed.get(key)
        if known is not None and known[0] == version:
            return known[1]
        with self.database.reading() as connection:
            allowed = allowed_ids(connection, live.id, filter)
        with self._lock:
            self._allowed[key] = (version, allowed)
            self._allowed.move_to_end(key)
            while len(self._allowed) > self.remembered:
                self._allowed.popitem(last=False)
        return allowed


def allowed_ids(connection: sqlite3.Connection, collection: int, filter: Filter) -> Ids:
    """Chunks that pass a filter, ascending; those without metadata of their own by their documents alone."""
    documents, chunks = of_documents(filter), of_chunks(filter)
    rows = connection.execute(
        ALLOWED.format(documents.sql, chunks.sql),
        (collection, collection, *documents.parameters, *chunks.parameters),
    )
    return np.fromiter(chain.from_iterable(rows), np.int64)


def _depth(search: Search, candidates: int) -> int:
    """How many hits each leg brings: in a mode with one leg, those that are wanted."""
    return max(4 * search.top_k, candidates) if search.mode == "hybrid" else search.top_k


def _rankings(live: Live, search: Search, allowed: Ids | None, depth: int) -> Mapping[str, Ranking]:
    legs = live.legs_of(search)
    rankings: dict[str, Ranking] = {}
    if VECTOR in legs:
        rankings[VECTOR] = live.vector.search(search.embedding, depth, allowed)
    if KEYWORD in legs and live.keyword is not None:
        rankings[KEYWORD] = live.keyword.search(search.text, depth, allowed)
    return rankings


def _best(live: Live, rankings: Mapping[str, Ranking], search: Search) -> Sequence[tuple[Fused, float]]:
    """The hits to answer with, each with its relevance."""
    fused = fuse(rankings, search.fusion) if search.mode == "hybrid" else single(search.mode, rankings[search.mode])
    if search.min_score <= 0:
        fused = fused[: search.top_k]
    ids = [one.id for one in fused if KEYWORD in one.legs]
    shares = live.keyword.matched_shares(search.text, ids) if live.keyword is not None and ids else {}
    rated = [(one, relevance(one, shares.get(one.id, 0.0))) for one in fused]
    return [(one, share) for one, share in rated if share >= search.min_score][: search.top_k]


def _rows(connection: sqlite3.Connection, ids: Sequence[int], *, with_embeddings: bool) -> Mapping[int, Sequence[Any]]:
    more = ("v.embedding", "JOIN vectors v ON v.id = c.id") if with_embeddings else ("x''", "")
    rows = connection.execute(ROW.format(*more, ",".join("?" * len(ids))), tuple(ids))
    return {row[0]: row[1:] for row in rows}


def _hit(fused: Fused, share: float, row: Sequence[Any]) -> Hit:
    name, title, metadata, *chunk, embedding = row
    held = chunk_of(chunk, embedding)
    return Hit(
        document_id=name,
        chunk=held,
        document_title=title,
        metadata={**json.loads(metadata), **held.metadata},
        score=fused.score,
        relevance=share,
        legs=fused.legs,
        ranks=fused.ranks,
    )
