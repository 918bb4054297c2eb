"""Each key of `plugins.hybrid`, and what it changes; those of the compact indexes are tested beside these."""

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import lmx_hybrid
from lmx_hookspecs.retrieval import Search
from lmx_hybrid import searching
from lmx_hybrid.searching import _depth, _rankings
from lmx_hybrid.store import HybridStore
from store_support import NAME, SETTINGS, document, opened, random_vector

pytest.importorskip("tantivy")


async def filled(store: HybridStore, chunks: int = 40) -> None:
    await store.ingest(NAME, SETTINGS, [document(f"d{n}", "kiwi", seed=n, metadata={"n": n}) for n in range(chunks)])
    await store.search(NAME, Search(text="kiwi", embedding=random_vector(0)))


async def settled(store: HybridStore) -> str:
    """What vectors are searched with in the end."""
    for _ in range(500):
        if not store.live[NAME].vector.settling:
            break
        await asyncio.sleep(0.01)
    return (await store.collection(NAME)).vector_index


@pytest.mark.parametrize(
    ("config", "index"),
    [
        ({"vector_index": "flat"}, "flat"),
        ({"vector_index": "numpy"}, "numpy"),
        ({"vector_index": "hnsw"}, "hnsw"),
        ({"vector_index": "auto"}, "flat"),
        ({"vector_index": "auto", "flat_limit": 39}, "hnsw"),
        ({"vector_index": "auto", "flat_limit": 40}, "flat"),
    ],
)
async def test_vector_index_and_flat_limit_choose_what_vectors_are_searched_with(
    tmp_path: Path, config: dict[str, Any], index: str
) -> None:
    pytest.importorskip("faiss")
    pytest.importorskip("hnswlib")
    async with opened(tmp_path, **config) as store:
        await filled(store)

        assert await settled(store) == index


@pytest.mark.parametrize(("candidates", "found"), [(10, 12), (40, 40)])
async def test_candidates_is_what_each_leg_brings(tmp_path: Path, candidates: int, found: int) -> None:
    async with opened(tmp_path, candidates=candidates) as store:
        await filled(store)
        result = await store.search(NAME, Search(text="kiwi", embedding=random_vector(3), top_k=3))
        assert len(result.hits) == 3

        search = Search(text="kiwi", embedding=random_vector(3), top_k=3)
        ranks = _rankings(store.live[NAME], search, None, _depth(search, candidates))
        assert [len(ranking) for ranking in ranks.values()] == [found, found]


async def test_indexing_starts_after_the_commit_interval_though_nobody_searches(tmp_path: Path) -> None:
    async with opened(tmp_path, commit_interval_sec=0.0) as store:
        await store.ingest(NAME, SETTINGS, [document("d", "kiwi")])
        live = store.live[NAME]
        assert live.following is not None
        await asyncio.wait_for(live.following, 10)
        assert live.followed
    async with opened(tmp_path, commit_interval_sec=10.0) as store:
        await filled(store)
        await store.ingest(NAME, SETTINGS, [document("e", "kiwi")])
        await asyncio.sleep(0.2)
        assert not store.live[NAME].followed


async def test_a_checkpoint_is_written_every_so_often_and_notes_of_deletions_go(tmp_path: Path) -> None:
    async with opened(tmp_path, checkpoint_interval_sec=0.05) as store:
        await filled(store)
        await store.delete(NAME, ["d1", "d2"])
        await store.search(NAME, Search(text="kiwi", embedding=random_vector(0)))
        for _ in range(200):
            notes = await store._in(store.readers, lambda: count(store, "deletions"))
            if not notes:
                break
            await asyncio.sleep(0.05)
        assert notes == 0
        assert (await store.describe())["last_checkpoint"] is not None
    async with opened(tmp_path, checkpoint_interval_sec=3600) as store:
        await store.delete(NAME, ["d3"])
        await store.search(NAME, Search(text="kiwi", embedding=random_vector(0)))
        await asyncio.sleep(0.2)
        assert await store._in(store.readers, lambda: count(store, "deletions")) == 1


def count(store: HybridStore, table: str) -> int:
    (rows,) = store.database.connection().execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
    return int(rows)


async def test_the_caches_of_connections_are_as_large_as_configured(tmp_path: Path) -> None:
    async with opened(tmp_path, sqlite_cache_bytes=2**21) as store:
        (size,) = store.database.connection().execute("PRAGMA cache_size").fetchone()

    assert size == -2048


@pytest.mark.parametrize(("durable", "level"), [(True, 2), (False, 1)])
async def test_durable_commits_are_synchronous(tmp_path: Path, durable: bool, level: int) -> None:
    async with opened(tmp_path, durable=durable) as store:
        connection = store.database.connection()
        assert connection.execute("PRAGMA synchronous").fetchone() == (level,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_tantivy_gets_the_heap_that_is_configured(tmp_path: Path) -> None:
    async with opened(tmp_path, keyword_heap_bytes=20_000_000) as store:
        await filled(store)
        leg = store.live[NAME].keyword
        assert leg is not None
        index: Any = leg._opened()
        await store._in(store.indexers, index.release)
        asked: list[tuple[int, int]] = []
        index._index = Recording(index._index, asked)
        await store.ingest(NAME, SETTINGS, [document("more", "kiwi")])
        await store.search(NAME, Search(text="kiwi", mode="keyword"))

    assert asked == [(20_000_000, 1)]


class Recording:
    """An index of Tantivy that notes what its writers are opened with."""

    def __init__(self, real: Any, asked: list[tuple[int, int]]) -> None:
        self.real, self.asked = real, asked

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def writer(self, heap_bytes: int, threads: int) -> Any:
        self.asked.append((heap_bytes, threads))
        return self.real.writer(heap_bytes, threads)


async def test_so_many_reads_run_at_the_same_time(tmp_path: Path) -> None:
    async with opened(tmp_path, reader_threads=3) as store:
        together = threading.Barrier(3, timeout=10)

        places = await asyncio.gather(*(store._in(store.readers, together.wait) for _ in range(3)))

    assert sorted(places) == [0, 1, 2]


@pytest.mark.parametrize(("threads", "used"), [(1, 1), (3, 3)])
async def test_an_exact_search_is_shared_between_so_many_threads(
    tmp_path: Path, threads: int, used: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmx_hybrid.flat.BLOCK_ROWS", 4)
    async with opened(tmp_path, search_threads=threads, vector_index="numpy") as store:
        await filled(store)
        tail = store.live[NAME].vector.index.tail
        seen: set[int] = set()
        scan = tail.scan

        def recording(*arguments: Any) -> Any:
            seen.add(threading.get_ident())
            return scan(*arguments)

        tail.scan = recording
        for _ in range(20):
            found = await store.search(NAME, Search(embedding=random_vector(7), mode="vector"))
            assert found.hits[0].document_id == "d7"

    assert 1 < len(seen) <= used + 1 if used > 1 else len(seen) <= 2


@pytest.mark.parametrize(("size", "reads"), [(0, 4), (2, 2)])
async def test_filters_are_remembered_until_the_collection_changes(
    tmp_path: Path, size: int, reads: int, monkeypatch: pytest.MonkeyPatch
) -> None:

    asked: list[object] = []
    original = searching.allowed_ids

    def recording(*given: Any) -> Any:
        asked.append(given)
        return original(*given)

    monkeypatch.setattr(searching, "allowed_ids", recording)
    async with opened(tmp_path, filter_cache=size) as store:
        await filled(store)

        async def found(value: object) -> list[str]:
            wanted = {"type": "eq", "key": "n", "value": value}
            result = await store.search(NAME, Search(text="kiwi", mode="keyword", filter=wanted))
            return [hit.document_id for hit in result.hits]

        assert [await found(1), await found(True), await found(1), await found(True)] == [["d1"], [], ["d1"], []]
        assert len(asked) == reads
        await store.update_metadata(NAME, "d5", {"n": 1})
        assert sorted(await found(1)) == ["d1", "d5"]
        await store.delete(NAME, ["d1"])
        assert await found(1) == ["d5"]


def test_every_key_is_documented_in_the_readme() -> None:
    (config,) = lmx_hybrid.lmx_config()
    readme = (Path(lmx_hybrid.__file__).parents[1] / "README.md").read_text()

    assert [name for name in (one.name for one in config.cls.__attrs_attrs__) if f"`{name}`" not in readme] == []


def test_hooks_import_nothing_heavy() -> None:
    code = "import sys, lmx_hybrid; print(sorted({'numpy', 'tantivy', 'faiss', 'hnswlib'} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    answer = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)

    assert answer.stdout == "[]\n"
