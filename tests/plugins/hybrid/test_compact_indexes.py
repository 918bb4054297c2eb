from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmx_hookspecs.errors import EngineFailed
from lmx_hybrid.compact import CompactKind, compact_kind
from lmx_hybrid.config import HybridConfig
from lmx_hybrid.damage import DamagedIndexError
from lmx_hybrid.flat import FlatIndex, Floats, Ids, faiss_scan, numpy_scan
from lmx_hybrid.vector_index import VectorIndex

MODULES = {"hnsw": "hnswlib", "ivfpq": "faiss"}
ROWS, DIMENSIONS = 3000, 32
CONFIG = {"ivfpq_training_chunks": 1000, "ivfpq_code_bytes": 16, "flat_limit": 1000}


@pytest.fixture(scope="module")
def vectors() -> Floats:
    random = np.random.default_rng(0)
    centres = random.standard_normal((50, DIMENSIONS))
    rows = centres[random.integers(50, size=ROWS)] + 0.5 * random.standard_normal((ROWS, DIMENSIONS))
    unit: Floats = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


@pytest.fixture
def fetch(vectors: Floats) -> Callable[[Ids], tuple[Ids, Floats]]:
    return lambda ids: (ids, vectors[ids - 1])


def kind_of(name: str, fetch: Any, **config: Any) -> CompactKind:
    pytest.importorskip(MODULES[name])
    kind = compact_kind(HybridConfig(vector_index=name, **{**CONFIG, **config}), DIMENSIONS, fetch)
    assert kind is not None
    return kind


def built(kind: CompactKind, vectors: Floats, fetch: Any) -> VectorIndex:
    index = VectorIndex("numpy", FlatIndex(DIMENSIONS, numpy_scan), kind, fetch)
    index.add(np.arange(1, ROWS + 1), vectors)
    while index.folding:
        index.fold()
    return index


def exact(vectors: Floats, query: Floats, ids: Ids, k: int) -> set[int]:
    return set(ids[np.argsort(-(vectors[ids - 1] @ query))[:k]].tolist())


def recall(index: VectorIndex, vectors: Floats, ids: Ids, allowed: Ids | None = None) -> float:
    shares = []
    for query in vectors[::97]:
        found = {chunk for chunk, _ in index.search(query, 10, allowed)}
        shares.append(len(found & exact(vectors, query, ids, 10)) / 10)
    return sum(shares) / len(shares)


@pytest.mark.parametrize("name", MODULES)
def test_a_compact_index_finds_nearly_all_that_an_exact_one_finds(name: str, vectors: Floats, fetch: Any) -> None:
    index = built(kind_of(name, fetch), vectors, fetch)

    assert (index.name, len(index), len(index.tail)) == (name, ROWS, 0)
    assert recall(index, vectors, np.arange(1, ROWS + 1)) > 0.95


@pytest.mark.parametrize("name", MODULES)
def test_what_is_removed_is_found_no_more_and_its_place_is_used_again(name: str, vectors: Floats, fetch: Any) -> None:
    index = built(kind_of(name, fetch), vectors, fetch)
    taken = index.memory_bytes

    index.remove(np.arange(1, 2001))
    left = np.arange(2001, ROWS + 1)
    assert recall(index, vectors, left) > 0.95
    index.compact.add(np.arange(1, 2001), vectors[:2000])  # type: ignore[union-attr]

    assert recall(index, vectors, np.arange(1, ROWS + 1)) > 0.95
    assert index.memory_bytes == taken


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("step", [2, 500])
def test_a_filter_still_gives_as_many_as_are_wanted(name: str, step: int, vectors: Floats, fetch: Any) -> None:
    index = built(kind_of(name, fetch), vectors, fetch)
    allowed = np.arange(1, ROWS + 1, step)

    assert recall(index, vectors, allowed, allowed) == pytest.approx(min(1.0, len(allowed) / 10))


class Meanwhile:
    """A part of an index that others change before or after it is searched."""

    def __init__(self, real: Any, before: Callable[[], None], after: Callable[[], None]) -> None:
        self.real, self.before, self.after = real, before, after

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def __len__(self) -> int:
        return len(self.real)

    def __call__(self, *arguments: Any) -> Any:
        self.before()
        found = self.real(*arguments)
        self.after()
        return found

    def search(self, *arguments: Any) -> Any:
        self.before()
        found = self.real.search(*arguments)
        self.after()
        return found


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("part", ["tail", "compact"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_rows_that_move_while_a_search_runs_are_found_once(
    name: str, part: str, moment: str, vectors: Floats, fetch: Any
) -> None:
    index = VectorIndex("numpy", FlatIndex(DIMENSIONS, numpy_scan), kind_of(name, fetch), fetch)
    index.add(np.arange(1, ROWS + 1), vectors)
    index.fold()
    wanted = exact(vectors, vectors[-1], np.arange(1, ROWS + 1), 3)

    def move() -> None:
        while index.folding:
            index.fold()

    moves: Any = {"before": lambda: None, "after": lambda: None, moment: move}
    if part == "tail":
        index.tail.scan = Meanwhile(index.tail.scan, **moves)
    else:
        index.compact = Meanwhile(index.compact, **moves)
    found = [chunk for chunk, _ in index.search(vectors[-1], 3, None)]

    assert len(index.tail) == 0
    assert (set(found), len(found)) == (wanted, 3)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("distinct", [1, 5])
def test_as_many_as_are_wanted_are_found_among_equal_vectors(name: str, distinct: int, vectors: Floats) -> None:
    rows = vectors[np.arange(ROWS) % distinct]
    index = built(kind_of(name, lambda ids: (ids, rows[ids - 1])), rows, lambda ids: (ids, rows[ids - 1]))
    index.remove(np.arange(1, 501))

    found = index.search(rows[0], 1000, None)

    assert [score for _, score in found] == pytest.approx(sorted(rows[500:] @ rows[0], reverse=True)[:1000], abs=1e-5)


@pytest.mark.parametrize("name", MODULES)
def test_a_vector_that_a_third_of_all_chunks_have_hides_no_other(name: str, vectors: Floats) -> None:
    rows = vectors.copy()
    rows[np.random.default_rng(1).permutation(ROWS)[: ROWS // 3]] = vectors[0]

    def fetch(ids: Ids) -> tuple[Ids, Floats]:
        return ids, rows[ids - 1]

    index = built(kind_of(name, fetch), rows, fetch)
    best = [sum(score for _, score in index.search(query, 10, None)) for query in vectors[1::97]]

    assert best == pytest.approx([np.sort(rows @ query)[-10:].sum() for query in vectors[1::97]], rel=0.02)


@pytest.mark.parametrize("name", MODULES)
def test_a_saved_index_comes_back_and_a_damaged_one_is_noticed(
    name: str, tmp_path: Path, vectors: Floats, fetch: Any
) -> None:
    kind = kind_of(name, fetch)
    saved = built(kind, vectors, fetch)
    saved.remove(np.arange(1, 101))
    assert saved.compact is not None
    saved.compact.save(tmp_path / "saved")

    loaded = kind.load(tmp_path / "saved")

    assert loaded.ids().tolist() == list(range(101, ROWS + 1))
    ids, _ = loaded.search(vectors[0], 10, None)
    assert len(ids) >= 10
    assert ids.min() > 100
    (tmp_path / "saved").write_bytes((tmp_path / "saved").read_bytes()[:100])
    with pytest.raises(DamagedIndexError):
        kind.load(tmp_path / "saved")


@pytest.mark.parametrize(("limit", "compact"), [(ROWS, False), (ROWS - 1, True)])
def test_auto_is_exact_up_to_its_limit(limit: int, compact: bool, vectors: Floats, fetch: Any) -> None:
    kind = compact_kind(HybridConfig(flat_limit=limit, ivfpq_training_chunks=256), DIMENSIONS, fetch)
    assert kind is not None
    assert (built(kind, vectors, fetch).compact is not None) is compact


def test_a_larger_graph_and_a_harder_search_find_more(vectors: Floats, fetch: Any) -> None:
    poor = {"hnsw_m": 4, "hnsw_ef_construction": 8, "hnsw_ef_search": 8}
    ids = np.arange(1, ROWS + 1)
    low = recall(built(kind_of("hnsw", fetch, **poor), vectors, fetch), vectors, ids)

    assert low < recall(built(kind_of("hnsw", fetch, **{**poor, "hnsw_ef_search": 500}), vectors, fetch), vectors, ids)
    assert low < recall(built(kind_of("hnsw", fetch, **{**poor, "hnsw_m": 32}), vectors, fetch), vectors, ids)
    assert low < recall(
        built(kind_of("hnsw", fetch, **{**poor, "hnsw_ef_construction": 200}), vectors, fetch), vectors, ids
    )


def test_longer_codes_and_more_probes_find_more(vectors: Floats, fetch: Any) -> None:
    ids = np.arange(1, ROWS + 1)
    good = built(kind_of("ivfpq", fetch), vectors, fetch)
    short = built(kind_of("ivfpq", fetch, ivfpq_code_bytes=1), vectors, fetch)
    narrow = built(kind_of("ivfpq", fetch, ivfpq_probes=1), vectors, fetch)

    assert recall(short, vectors, ids) < recall(good, vectors, ids)
    assert recall(narrow, vectors, ids) < recall(good, vectors, ids)
    assert short.memory_bytes < good.memory_bytes < vectors.nbytes / 4


def test_codes_are_trained_once_there_are_enough_vectors(vectors: Floats, fetch: Any) -> None:
    early = built(kind_of("ivfpq", fetch, ivfpq_training_chunks=ROWS), vectors, fetch)
    never = built(kind_of("ivfpq", fetch, ivfpq_training_chunks=ROWS + 1), vectors, fetch)

    assert (early.name, never.name) == ("ivfpq", "numpy")


@pytest.mark.parametrize("threads", [1, 3])
def test_graphs_are_built_by_so_many_threads(
    threads: int, vectors: Floats, fetch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = kind_of("hnsw", fetch, build_threads=threads)
    graph: Any = kind.make(vectors)
    used: list[int] = []

    class Recording:
        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def add_items(self, *_: Any, num_threads: int, **__: Any) -> None:
            used.append(num_threads)

    real = graph._graph
    monkeypatch.setattr(graph, "_graph", Recording())
    graph.add(np.arange(1, 10), vectors[:9])

    assert used == [threads]


@pytest.mark.parametrize(("name", "line"), [("hnsw", "opta-lmx[hnsw]"), ("ivfpq", "opta-lmx[rag]")])
def test_a_library_that_is_missing_is_named(name: str, line: str, fetch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmx_hybrid.compact.find_spec", lambda _: None)

    with pytest.raises(EngineFailed, match=r"pip install") as caught:
        compact_kind(HybridConfig(vector_index=name), DIMENSIONS, fetch)
    assert line in str(caught.value)


@pytest.mark.parametrize("scan", [numpy_scan, faiss_scan])
@pytest.mark.parametrize("rows", [1, 100, 3000])
def test_flat_search_is_exact_whatever_is_removed_or_allowed(scan: Any, rows: int, vectors: Floats) -> None:
    pytest.importorskip("faiss")
    index = FlatIndex(DIMENSIONS, scan)
    index.add(np.arange(1, rows + 1), vectors[:rows])
    index.remove(np.arange(1, rows + 1, 3))
    left = np.setdiff1d(np.arange(1, rows + 1), np.arange(1, rows + 1, 3))

    for allowed in (None, left[::2], left[:1], left[:0]):
        ids = left if allowed is None else allowed
        found = index.search(vectors[5], 20, allowed)
        assert {chunk for chunk, _ in found} == exact(vectors, vectors[5], ids, 20)
        assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    assert index.ids().tolist() == left.tolist()
    assert index.first(7)[0].tolist() == left[:7].tolist()
