"""Vectors of one collection: new ones in a flat tail, which is exact; the rest of many in a compact index.

So whatever is stored can be found at once, however long a graph takes to build: it grows in the background.
"""

from pathlib import Path

import numpy as np
from attrs import define

from lmx_hybrid.compact import CompactIndex, CompactKind, Fetch
from lmx_hybrid.flat import FlatIndex, Floats, Ids, best_of

FOLDED = 64
"""Rows that move from the tail to the compact index in one go."""
SAMPLED = 50_000
EXACT_LIMIT = 20_000
"""Up to so many allowed chunks are compared one by one: a graph or lists would miss some."""


@define(eq=False)
class VectorIndex:
    """Both parts as one. One thread changes it at a time, others may search meanwhile."""

    exact: str
    """What the tail is searched with: `flat` or `numpy`."""
    tail: FlatIndex
    kind: CompactKind | None
    fetch: Fetch
    compact: CompactIndex | None = None
    changes: int = 0
    """Of the compact index, since it was saved."""

    def __len__(self) -> int:
        return len(self.tail) + (len(self.compact) if self.compact is not None else 0)

    @property
    def name(self) -> str:
        """What most vectors are searched with."""
        return self.kind.name if self.kind is not None and self.compact is not None else self.exact

    @property
    def memory_bytes(self) -> int:
        """Of both parts."""
        return self.tail.memory_bytes + (self.compact.memory_bytes if self.compact is not None else 0)

    @property
    def folding(self) -> bool:
        """Whether rows wait in the tail for the compact index."""
        if self.kind is None or not len(self.tail):
            return False
        return self.compact is not None or len(self.tail) >= self.kind.least

    def add(self, ids: Ids, vectors: Floats) -> None:
        """Ids ascend, and are greater than all before."""
        self.tail.add(ids, vectors)

    def remove(self, ids: Ids) -> None:
        """Those that are not there are ignored."""
        if len(ids):
            self.tail.remove(ids)
            if self.compact is not None:
                self.compact.remove(ids)
                self.changes += len(ids)

    def clear(self) -> None:
        """Nothing is left, nor are changes that a file would lack."""
        self.tail.clear()
        self.compact, self.changes = None, 0

    def fold(self) -> None:
        """Move some rows of the tail."""
        if self.kind is None or not self.folding:
            return
        if self.compact is None:
            self.compact = self.kind.make(self.tail.first(SAMPLED)[1])
        ids, vectors = self.tail.first(FOLDED)
        self.compact.add(ids, vectors)
        self.changes += len(ids)
        self.tail.remove(ids)  # for a moment they are in both, and `best_of` takes them once

    def search(self, query: Floats, k: int, allowed: Ids | None) -> list[tuple[int, float]]:
        """The best `k` of those that are allowed (ascending ids; None: all), best first."""
        if self.compact is not None and allowed is not None and len(allowed) <= EXACT_LIMIT:
            return self._compared(query, k, allowed)
        parts = self.tail.found(query, k, allowed)  # first: what moves meanwhile is then found in the other part
        if self.compact is None:
            return best_of(parts, k)
        found = best_of([self.compact.search(query, k, allowed), *parts], k)
        if len(found) < min(k, len(self) if allowed is None else len(allowed)):
            return self._compared(query, k, self._ids() if allowed is None else allowed)
        return found

    def load(self, file: Path) -> None:
        """Take a saved compact index; raises DamagedIndexError."""
        if self.kind is not None:
            self.compact = self.kind.load(file)

    def _ids(self) -> Ids:
        """Of both parts; the tail goes first, as in a search."""
        tail = self.tail.ids()
        return tail if self.compact is None else np.union1d(self.compact.ids(), tail)

    def _compared(self, query: Floats, k: int, allowed: Ids) -> list[tuple[int, float]]:
        """With the vectors of the database, some at a time."""
        found: list[tuple[Ids, Floats]] = []
        for start in range(0, len(allowed), EXACT_LIMIT // 4):
            ids, vectors = self.fetch(allowed[start : start + EXACT_LIMIT // 4])
            scores: Floats = vectors @ query
            best = np.argsort(-scores, kind="stable")[:k]
            found.append((ids[best], scores[best]))
        return best_of(found, k)
