"""A graph of neighbours (Malkov and Yashunin, TPAMI 2018), by hnswlib: fast in large collections, and it can change."""

import time
from pathlib import Path
from threading import Lock

import hnswlib
import numpy as np
from attrs import define, field, frozen

from lmx_hybrid.compact import ids_file
from lmx_hybrid.copies import Copies
from lmx_hybrid.damage import DamagedIndexError
from lmx_hybrid.flat import Floats, Ids

ROOM = 4096
"""Rows by which it grows at least."""
SLICE = 32
"""hnswlib cannot search while it adds: so many at a time, and searches get in between."""
BREATH_S = 0.0005


@frozen(kw_only=True)
class HnswOptions:
    """The graph's shape, and how hard it is searched."""

    dimensions: int
    m: int
    ef_construction: int
    ef_search: int
    build_threads: int


@define(eq=False)
class HnswIndex:
    """A CompactIndex."""

    options: HnswOptions
    _graph: hnswlib.Index
    _copies: Copies = field(factory=Copies)
    _lock: Lock = field(factory=Lock, init=False)

    @classmethod
    def empty(cls, options: HnswOptions) -> "HnswIndex":
        """With nothing in it."""
        graph = hnswlib.Index(space="ip", dim=options.dimensions)
        graph.init_index(
            max_elements=ROOM, M=options.m, ef_construction=options.ef_construction, allow_replace_deleted=True
        )
        return cls(options, graph)

    @classmethod
    def load(cls, file: Path, options: HnswOptions) -> "HnswIndex":
        """A saved one; raises DamagedIndexError."""
        graph = hnswlib.Index(space="ip", dim=options.dimensions)
        try:
            graph.load_index(str(file), allow_replace_deleted=True)
            copies = Copies.of_rows(np.load(ids_file(file)))
        except (RuntimeError, OSError, ValueError, EOFError, IndexError) as error:
            raise DamagedIndexError(f"{file}: {error}") from error
        return cls(options, graph, copies)

    def __len__(self) -> int:
        return len(self._copies)

    @property
    def memory_bytes(self) -> int:
        """Vectors and, for each, twice `m` links on the lowest level."""
        row = 4 * self.options.dimensions + 8 * self.options.m + 16
        return int(self._graph.get_max_elements()) * row

    def ids(self) -> Ids:
        """Of all that it holds."""
        return self._copies.ids()

    def add(self, ids: Ids, vectors: Floats) -> None:
        """In slices, so that searches get their turn."""
        for start in range(0, len(ids), SLICE):
            with self._lock:
                self._make_room(SLICE)
                self._add(ids[start : start + SLICE], vectors[start : start + SLICE])
            time.sleep(BREATH_S)

    def remove(self, ids: Ids) -> None:
        """They stay in the graph as way-points until others take their places, and are found no more."""
        with self._lock:
            for chunk in ids.tolist():
                label = self._copies.drop(chunk)
                if label is not None:
                    self._copies.forget(self._graph.get_items([label])[0])
                    self._graph.mark_deleted(label)

    def search(self, query: Floats, k: int, allowed: Ids | None) -> tuple[Ids, Floats]:
        """Of many allowed ones, those among the nearest."""
        with self._lock:
            depth = min(self._copies.labels, k if allowed is None else 4 * k)
            return self._copies.spread(*self._nearest(query, depth), k, allowed)

    def _nearest(self, query: Floats, depth: int) -> tuple[Ids, Floats]:
        """Fewer where the graph leads to no more: nearly equal vectors may link to nothing but each other."""
        while depth:
            self._graph.set_ef(max(self.options.ef_search, 2 * depth))
            try:
                found, distances = self._graph.knn_query(query[None], k=depth, num_threads=1)
            except RuntimeError:  # hnswlib says so of a search that finds less than `depth`
                depth //= 2
            else:
                return found[0].astype(np.int64), 1 - distances[0]
        return np.zeros(0, np.int64), np.zeros(0, np.float32)

    def save(self, file: Path) -> None:
        """The graph, and which of its rows count."""
        with self._lock:
            self._graph.save_index(str(file))
            np.save(ids_file(file), self._copies.rows())

    def _add(self, ids: Ids, vectors: Floats) -> None:
        new = [self._copies.put(chunk, vector) for chunk, vector in zip(ids.tolist(), vectors, strict=True)]
        if any(new):
            self._graph.add_items(vectors[new], ids[new], num_threads=self.options.build_threads, replace_deleted=True)

    def _make_room(self, count: int) -> None:
        rows = max(self._graph.get_current_count(), self._copies.labels + count)
        if rows > self._graph.get_max_elements():
            self._graph.resize_index(rows + max(ROOM, rows // 8))
