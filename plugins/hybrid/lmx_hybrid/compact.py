"""Indexes for large collections, which answer nearly as an exact search does and take less time or memory."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from attrs import frozen

from lmx_hookspecs.errors import EngineFailed
from lmx_hybrid.config import HybridConfig
from lmx_hybrid.flat import Floats, Ids

Fetch = Callable[[Ids], tuple[Ids, Floats]]
"""Normalised vectors of chunks, with the ids of those that are there, from the database."""


HNSW_LAYOUT = 2
"""Of the file of ids beside a graph."""
CODES_FROM = 4
"""Codes lose more than a graph does: without hnswlib, `auto` stays exact up to so many times `flat_limit`."""


class CompactIndex(Protocol):
    """One of them. One thread changes it at a time, others may search meanwhile."""

    @property
    def memory_bytes(self) -> int:
        """What it takes, about."""

    def __len__(self) -> int: ...

    def ids(self) -> Ids:
        """Of all that it holds, ascending."""

    def add(self, ids: Ids, vectors: Floats) -> None:
        """Those that are not there yet."""

    def remove(self, ids: Ids) -> None:
        """Those that are not there are ignored."""

    def search(self, query: Floats, k: int, allowed: Ids | None) -> tuple[Ids, Floats]:
        """`k` of the best or more, in any order; it may miss some, of the allowed ones even all."""

    def save(self, file: Path) -> None:
        """Write all of it to a file, and its ids to another one."""


@frozen(kw_only=True)
class CompactKind:
    """A way to make such an index, and when."""

    name: str
    least: int
    """Chunks that there must be before it is made."""
    make: Callable[[Floats], CompactIndex]
    """Of a sample of the vectors that it will hold."""
    load: Callable[[Path], CompactIndex]
    """Raises DamagedIndexError."""
    shape: tuple[int, ...]
    """What it was made with: a saved one of another shape is made anew."""


def ids_file(file: Path) -> Path:
    """Where the ids of a saved index stand."""
    return file.with_name(f"{file.name}.ids.npy")


def compact_kind(config: HybridConfig, dimensions: int, fetch: Fetch) -> CompactKind | None:
    """What a collection moves to as it grows; None where it stays exact. Raises EngineFailed for what is missing."""
    wanted = config.vector_index
    if wanted in ("flat", "numpy"):
        return None
    least = config.flat_limit + 1 if wanted == "auto" else 1
    if wanted == "hnsw" or (wanted == "auto" and _installed("hnswlib")):
        return _hnsw(config, dimensions, least)
    if wanted == "ivfpq" or _installed("faiss"):
        least = least if wanted == "ivfpq" else CODES_FROM * config.flat_limit + 1
        return _ivfpq(config, dimensions, max(least, config.ivfpq_training_chunks), fetch)
    return None


def _hnsw(config: HybridConfig, dimensions: int, least: int) -> CompactKind:
    _need("hnswlib", "hnsw", "hnsw")
    from lmx_hybrid.hnsw import HnswIndex, HnswOptions

    options = HnswOptions(
        dimensions=dimensions,
        m=config.hnsw_m,
        ef_construction=config.hnsw_ef_construction,
        ef_search=config.hnsw_ef_search,
        build_threads=config.build_threads,
    )
    return CompactKind(
        name="hnsw",
        least=least,
        make=lambda _: HnswIndex.empty(options),
        load=lambda file: HnswIndex.load(file, options),
        shape=(dimensions, options.m, options.ef_construction, HNSW_LAYOUT),
    )


def _ivfpq(config: HybridConfig, dimensions: int, least: int, fetch: Fetch) -> CompactKind:
    _need("faiss", "ivfpq", "rag")
    from lmx_hybrid.ivfpq import IvfPqIndex, IvfPqOptions

    options = IvfPqOptions(
        dimensions=dimensions,
        code_bytes=config.ivfpq_code_bytes,
        probes=config.ivfpq_probes,
        build_threads=config.build_threads,
        fetch=fetch,
    )
    return CompactKind(
        name="ivfpq",
        least=least,
        make=lambda sample: IvfPqIndex.trained(sample, options),
        load=lambda file: IvfPqIndex.load(file, options),
        shape=(dimensions, options.parts),
    )


def _need(module: str, index: str, extra: str) -> None:
    if not _installed(module):
        raise EngineFailed(
            f"plugins.hybrid.vector_index is {index}, which needs {module}: pip install 'opta-lmx[{extra}]'"
        )


def _installed(module: str) -> bool:
    return find_spec(module) is not None
