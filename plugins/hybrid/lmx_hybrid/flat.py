"""Exact search: every vector is looked at. The rows stand in blocks, so that growing copies nothing."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from threading import Lock
from typing import Any, TypeAlias

import numpy as np
from attrs import define, field
from numpy.typing import NDArray

Ids: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float32]
Scan: TypeAlias = Callable[[Floats, Floats, "NDArray[np.bool_] | None", int], tuple["NDArray[np.int64]", Floats]]
"""Of a query, rows, which of them count (None: all), and k: the places of the best ones and their inner products."""

BLOCK_ROWS = 8192
SPREAD_BLOCKS = 2
"""Blocks of which a thread takes so many at least."""
FEW_OF = 8
"""Of so many rows one that counts: then those are picked out."""


@define(eq=False)
class Block:
    """Up to so many rows, in the order of their ids; `alive` is false for those that were removed."""

    ids: Ids
    vectors: Floats
    alive: NDArray[np.bool_]
    used: int = 0
    dead: int = 0

    @classmethod
    def of(cls, rows: int, dimensions: int) -> "Block":
        """An empty one."""
        return cls(np.zeros(rows, np.int64), np.zeros((rows, dimensions), np.float32), np.ones(rows, np.bool_))

    @property
    def full(self) -> bool:
        """Whether nothing more fits."""
        return self.used == len(self.ids)

    def add(self, ids: Ids, vectors: Floats) -> int:
        """Take what fits, and say how much that is; `used` grows last, so that nobody reads half a row."""
        count = min(len(ids), len(self.ids) - self.used)
        end = self.used + count
        self.ids[self.used : end] = ids[:count]
        self.vectors[self.used : end] = vectors[:count]
        self.used = end
        return count

    def remove(self, ids: Ids) -> int:
        """Forget those that are here, and say how many these were."""
        places = places_of(ids, self.ids[: self.used])
        gone = int(np.count_nonzero(self.alive[places]))
        self.alive[places] = False
        self.dead += gone
        return gone

    def compacted(self) -> "Block":
        """Without the removed rows, and with no room for more."""
        kept = np.flatnonzero(self.alive[: self.used])
        block = Block(self.ids[kept], self.vectors[kept], np.ones(len(kept), np.bool_))
        block.used = len(kept)
        return block


def places_of(wanted: Ids, ids: Ids) -> NDArray[np.intp]:
    """Where the wanted ids stand in ascending ids; those that are not there are left out."""
    if not len(ids) or not len(wanted):
        return np.zeros(0, np.intp)
    places = np.searchsorted(ids, wanted)
    places[places == len(ids)] = 0
    found: NDArray[np.intp] = places[ids[places] == wanted]
    return found


def stand_in(wanted: Ids, ids: Ids) -> NDArray[np.bool_]:
    """Which of some ids stand in ascending ones."""
    if not len(ids):
        return np.zeros(len(wanted), np.bool_)
    passes: NDArray[np.bool_] = ids[np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)] == wanted
    return passes


def between(wanted: Ids, ids: Ids) -> Ids:
    """Those of ascending ids that are not below the first or above the last of others."""
    if not len(ids):
        return ids
    return wanted[np.searchsorted(wanted, ids[0]) : np.searchsorted(wanted, ids[-1], side="right")]


@define(eq=False)
class FlatIndex:
    """All vectors of a collection in memory. One thread changes it at a time, others may search meanwhile."""

    dimensions: int
    scan: Scan
    scanners: Executor | None = None
    """Threads that take a part of the blocks each, besides the one that searches."""
    threads: int = 1
    _blocks: tuple[Block, ...] = ()
    _lock: Lock = field(factory=Lock, init=False)

    def __len__(self) -> int:
        return sum(block.used - block.dead for block in self._blocks)

    @property
    def memory_bytes(self) -> int:
        """Of the rows."""
        return sum(block.vectors.nbytes + block.ids.nbytes + block.alive.nbytes for block in self._blocks)

    def ids(self) -> Ids:
        """Of all rows."""
        held = [block.ids[: block.used][block.alive[: block.used]] for block in self._blocks]
        return np.concatenate(held) if held else np.zeros(0, np.int64)

    def add(self, ids: Ids, vectors: Floats) -> None:
        """Ids ascend, and are greater than all before."""
        with self._lock:
            while len(ids):
                if not self._blocks or self._blocks[-1].full:
                    self._blocks = (*self._blocks, Block.of(BLOCK_ROWS, self.dimensions))
                taken = self._blocks[-1].add(ids, vectors)
                ids, vectors = ids[taken:], vectors[taken:]

    def remove(self, ids: Ids) -> None:
        """Those that are not there are ignored."""
        with self._lock:
            changed = [block for block in self._blocks if len(ids) and block.remove(ids)]
            if any(2 * block.dead > block.used for block in changed):
                blocks = [block.compacted() if 2 * block.dead > block.used else block for block in self._blocks]
                self._blocks = tuple(block for block in blocks if block.used)

    def clear(self) -> None:
        """Nothing is left."""
        with self._lock:
            self._blocks = ()

    def search(self, query: Floats, k: int, allowed: Ids | None = None) -> list[tuple[int, float]]:
        """The best `k` of those that are allowed (ascending ids; None: all), best first."""
        return best_of(self.found(query, k, allowed), k)

    def found(self, query: Floats, k: int, allowed: Ids | None = None) -> list[tuple[Ids, Floats]]:
        """The best of each block, in any order."""
        blocks = self._blocks
        count = max(1, min(self.threads, len(blocks) // SPREAD_BLOCKS))
        shares = [blocks[start::count] for start in range(count)]
        if self.scanners is None or count == 1:
            return self._of_blocks(blocks, query, k, allowed)
        others = [self.scanners.submit(self._of_blocks, share, query, k, allowed) for share in shares[1:]]
        mine = self._of_blocks(shares[0], query, k, allowed)
        return [*mine, *(found for other in others for found in other.result())]

    def first(self, count: int) -> tuple[Ids, Floats]:
        """Copies of the oldest rows."""
        ids, vectors = [np.zeros(0, np.int64)], [np.zeros((0, self.dimensions), np.float32)]
        for block in self._blocks:
            kept = np.flatnonzero(block.alive[: block.used])[:count]
            ids.append(block.ids[kept])
            vectors.append(block.vectors[kept])
            count -= len(kept)
            if count <= 0:
                break
        return np.concatenate(ids), np.concatenate(vectors)

    def _of_blocks(
        self, blocks: Sequence[Block], query: Floats, k: int, allowed: Ids | None
    ) -> list[tuple[Ids, Floats]]:
        return [self._of_block(block, query, k, allowed) for block in blocks]

    def _of_block(self, block: Block, query: Floats, k: int, allowed: Ids | None) -> tuple[Ids, Floats]:
        used = block.used
        alive = block.alive[:used]
        mask = None if alive.all() else alive
        if allowed is not None:
            mask = np.zeros(used, np.bool_)
            mask[places_of(between(allowed, block.ids[:used]), block.ids[:used])] = True
            mask &= alive
        places, scores = self.scan(query, block.vectors[:used], mask, k)
        return block.ids[places], scores


def best_of(found: Sequence[tuple[Ids, Floats]], k: int) -> list[tuple[int, float]]:
    """Several rankings in one, in which nothing stands twice; of equal scores the lower id goes first."""
    if not found:
        return []
    ids, firsts = np.unique(np.concatenate([ids for ids, _ in found]), return_index=True)
    scores = np.concatenate([scores for _, scores in found])[firsts]
    order = np.lexsort((ids, -scores))[:k]
    return list(zip(ids[order].tolist(), scores[order].tolist(), strict=True))


def numpy_scan(query: Floats, rows: Floats, mask: NDArray[np.bool_] | None, k: int) -> tuple[NDArray[np.int64], Floats]:
    """By NumPy alone."""
    places = np.arange(len(rows)) if mask is None else np.flatnonzero(mask)
    scores = (rows if mask is None else rows[places]) @ query
    if k < len(scores):
        best = np.argpartition(scores, -k)[-k:]
        return places[best], scores[best]
    return places, scores


def faiss_scan(query: Floats, rows: Floats, mask: NDArray[np.bool_] | None, k: int) -> tuple[NDArray[np.int64], Floats]:
    """By FAISS, over rows that stay where they are; few of them are faster picked out."""
    if mask is not None and FEW_OF * np.count_nonzero(mask) < len(mask):
        return numpy_scan(query, rows, mask, k)
    import faiss

    bitmap_selector: Any = faiss.IDSelectorBitmap  # its annotation is not that of its wrapper
    k = min(k, len(rows))
    scores, places = np.empty((1, k), np.float32), np.empty((1, k), np.int64)
    bits = None if mask is None else np.packbits(mask, bitorder="little")
    selector = None if bits is None else bitmap_selector(bits)
    faiss.knn_inner_product(
        faiss.swig_ptr(query),
        faiss.swig_ptr(rows),
        rows.shape[1],
        1,
        len(rows),
        k,
        faiss.swig_ptr(scores),
        faiss.swig_ptr(places),
        selector,
    )
    found = places[0] >= 0
    return places[0][found], scores[0][found]
