"""Vectors as short codes in inverted lists (Jégou, Douze and Schmid, TPAMI 2011), by FAISS: for little memory.

What the codes find is looked at again with the vectors themselves, which stay in the database.
"""

from math import sqrt
from pathlib import Path
from threading import Lock
from typing import Any

import faiss
import numpy as np
from attrs import define, field, frozen

from lmx_hybrid.compact import Fetch, ids_file
from lmx_hybrid.damage import DamagedIndexError
from lmx_hybrid.flat import Floats, Ids

CODE_BITS = 8
REFINED = 4
"""So many times `k` of what the codes find are looked at again."""
ROWS_PER_LIST = 39
"""FAISS wants as many to train a list on."""


@frozen(kw_only=True)
class IvfPqOptions:
    """How short the codes are, and how many lists a search looks into."""

    dimensions: int
    code_bytes: int
    probes: int
    build_threads: int
    fetch: Fetch

    @property
    def parts(self) -> int:
        """Bytes of a code: as near to `code_bytes` as divides the dimensions."""
        return max(
            parts for parts in range(1, min(self.code_bytes, self.dimensions) + 1) if not self.dimensions % parts
        )


@define(eq=False)
class IvfPqIndex:
    """A CompactIndex."""

    options: IvfPqOptions
    _lists: Any
    _held: set[int] = field(factory=set)
    _lock: Lock = field(factory=Lock, init=False)

    @classmethod
    def trained(cls, sample: Floats, options: IvfPqOptions) -> "IvfPqIndex":
        """With nothing in it."""
        count = max(1, min(int(4 * sqrt(len(sample))), len(sample) // ROWS_PER_LIST))
        quantizer = faiss.IndexFlatIP(options.dimensions)
        lists = faiss.IndexIVFPQ(
            quantizer, options.dimensions, count, options.parts, CODE_BITS, faiss.METRIC_INNER_PRODUCT
        )
        faiss.omp_set_num_threads(options.build_threads)
        try:
            lists.train(sample)
        finally:
            faiss.omp_set_num_threads(1)
        return cls(options, lists)

    @classmethod
    def load(cls, file: Path, options: IvfPqOptions) -> "IvfPqIndex":
        """A saved one; raises DamagedIndexError."""
        try:
            lists = faiss.read_index(str(file))
            held = np.load(ids_file(file))
        except (RuntimeError, OSError, ValueError, EOFError) as error:
            raise DamagedIndexError(f"{file}: {error}") from error
        return cls(options, lists, set(held.tolist()))

    def __len__(self) -> int:
        return len(self._held)

    @property
    def memory_bytes(self) -> int:
        """Codes and ids."""
        return int(self._lists.ntotal) * (self.options.parts + 8)

    def ids(self) -> Ids:
        """Of all that it holds."""
        return np.array(sorted(self._held), np.int64)

    def add(self, ids: Ids, vectors: Floats) -> None:
        """Encode them."""
        with self._lock:
            self._lists.add_with_ids(vectors, ids)
            self._held.update(ids.tolist())

    def remove(self, ids: Ids) -> None:
        """All lists are looked through."""
        with self._lock:
            gone = np.array(sorted(self._held.intersection(ids.tolist())), np.int64)
            if len(gone):
                self._lists.remove_ids(gone)
                self._held.difference_update(gone.tolist())

    def search(self, query: Floats, k: int, allowed: Ids | None) -> tuple[Ids, Floats]:
        """By codes, then by the vectors of the best."""
        selector = None if allowed is None else faiss.IDSelectorBatch(allowed)
        parameters_of: Any = faiss.SearchParametersIVF  # its annotation is not that of its wrapper
        parameters = parameters_of(sel=selector, nprobe=self.options.probes)
        with self._lock:
            _, found = self._lists.search(query[None], REFINED * k, params=parameters)
        ids, vectors = self.options.fetch(np.sort(found[0][found[0] >= 0]))
        return ids, vectors @ query

    def save(self, file: Path) -> None:
        """Lists, and what is in them."""
        with self._lock:
            faiss.write_index(self._lists, str(file))
            np.save(ids_file(file), self.ids())
