"""Files that are damaged, missing, locked, or of something else."""

import json
import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lmx_hookspecs.errors import EngineFailed, InsufficientStorage
from lmx_hookspecs.retrieval import Search
from lmx_hookspecs.testing import FakeContext
from lmx_hybrid import vector_leg
from lmx_hybrid.following import Follower
from lmx_hybrid.store import HybridStore
from lmx_hybrid.vectors import fetch_rows
from store_support import NAME, SETTINGS, document, opened, places, random_vector

pytest.importorskip("tantivy")

CHUNKS = 60


async def filled(directory: Path, **config: Any) -> None:
    async with opened(directory, **config) as store:
        documents = [document(f"d{n}", f"fruit number{n}", "fruit again", seed=2 * n) for n in range(CHUNKS // 2)]
        await store.ingest(NAME, SETTINGS, documents)
        await all_are_found(store)


async def all_are_found(store: HybridStore) -> None:
    for search in (
        Search(text="fruit", mode="keyword", top_k=1000),
        Search(embedding=random_vector(1), mode="vector", top_k=1000),
    ):
        result = await store.search(NAME, search)
        assert len(set(places(result))) == len(result.hits) == CHUNKS


def index_files(directory: Path) -> list[Path]:
    return sorted(path for path in (directory / "indexes").rglob("*") if path.is_file() and path.stat().st_size)


def damage(file: Path, how: str) -> None:
    data = bytearray(file.read_bytes())
    match how:
        case "cut":
            file.write_bytes(data[: len(data) // 2])
        case "flipped":
            for place in random.Random(1).sample(range(len(data)), min(len(data), 8)):
                data[place] ^= 0xFF
            file.write_bytes(data)
        case "emptied":
            file.write_bytes(b"")
        case "gone":
            file.unlink()


@pytest.mark.parametrize("how", ["cut", "flipped", "emptied", "gone"])
@pytest.mark.parametrize("kind", ["flat", "hnsw"])
async def test_damaged_index_files_are_made_anew(tmp_path: Path, kind: str, how: str) -> None:
    pytest.importorskip({"hnsw": "hnswlib"}.get(kind, "faiss"))
    await filled(tmp_path, vector_index=kind)
    files = index_files(tmp_path)
    assert any(file.suffix == ".index" for file in files) is (kind == "hnsw")

    for number in range(len(files)):
        fresh = index_files(tmp_path)
        damage(fresh[number % len(fresh)], how)
        async with opened(tmp_path, vector_index=kind) as store:
            await all_are_found(store)


async def test_the_log_says_which_index_was_made_anew(tmp_path: Path) -> None:
    await filled(tmp_path)
    damage(next(file for file in index_files(tmp_path) if file.suffix == ".term"), "flipped")
    context = FakeContext()

    async with opened(tmp_path, context=context) as store:
        await all_are_found(store)

    assert [(event, facts["index"]) for _, event, facts in context.log.lines] == [("index_made_anew", "words")]


@pytest.mark.parametrize("version", [{"analysis": 0}, {"layout": 0}])
async def test_words_of_an_earlier_version_are_no_error_before_they_are_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: dict[str, int]
) -> None:
    await filled(tmp_path)
    (state,) = (tmp_path / "indexes").glob("*-words.json")
    state.write_text(json.dumps({**json.loads(state.read_text()), **version}))
    monkeypatch.setattr(Follower, "start", lambda *_: None)
    context = FakeContext()

    async with opened(tmp_path, context=context, commit_interval_sec=3600.0) as store:
        await store.ingest(NAME, SETTINGS, [document("d", "fruit")])
        await store.delete(NAME, ["d"])
        await store.search(NAME, Search(embedding=random_vector(1), mode="vector"))
        await store.follower.checkpoint(store.live[NAME])
        assert store.database.connection().execute("SELECT count(*) FROM deletions").fetchone() == (0,)
        assert context.log.lines == []
        await all_are_found(store)

    assert [event for _, event, _ in context.log.lines] == ["index_made_anew"]


async def test_an_index_that_fails_while_it_is_used_is_made_anew_with_the_next_request(tmp_path: Path) -> None:
    await filled(tmp_path)
    async with opened(tmp_path) as store:
        await all_are_found(store)
        leg = store.live[NAME].keyword
        assert leg is not None

        class Broken:
            def __getattr__(self, name: str) -> None:
                raise ValueError("the index writer was killed")

        leg._index = Broken()  # type: ignore[assignment]
        with pytest.raises(EngineFailed, match="killed"):
            await store.search(NAME, Search(text="fruit", mode="keyword"))
        await all_are_found(store)


async def test_a_start_that_could_not_read_the_database_begins_from_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("hnswlib")
    async with opened(tmp_path, vector_index="hnsw") as store:
        await store.ingest(NAME, SETTINGS, [document(f"d{n}", "kiwi", seed=n) for n in range(100)])
        await store.follower._settle(store.live[NAME])
    async with opened(tmp_path, vector_index="flat") as store:
        await store.delete(NAME, [f"d{n}" for n in range(50)])
        await store.ingest(NAME, SETTINGS, [document("new", "kiwi", seed=200)])
    fetch, failing = fetch_rows, [True, False, False]

    def fetch_or_fail(*given: Any) -> Any:
        if failing.pop(0):
            raise EngineFailed("the disk did not answer")
        return fetch(*given)

    monkeypatch.setattr(vector_leg, "fetch_rows", fetch_or_fail)
    monkeypatch.setattr(Follower, "start", lambda *_: None)
    async with opened(tmp_path, vector_index="hnsw") as store:
        search = Search(embedding=random_vector(200), mode="vector", top_k=100)
        with pytest.raises(EngineFailed):
            await store.search(NAME, search)

        found = places(await store.search(NAME, search))
        assert (found[0], len(found), len(store.live[NAME].vector.index)) == (("new", 0), 51, 51)


async def test_other_settings_of_a_graph_make_it_anew(tmp_path: Path) -> None:
    pytest.importorskip("hnswlib")
    await filled(tmp_path, vector_index="hnsw", hnsw_m=4)

    variants: list[dict[str, Any]] = [
        {"hnsw_m": 8},
        {"vector_index": "ivfpq"},
        {"vector_index": "flat"},
        {"vector_index": "hnsw"},
    ]
    for config in variants:
        async with opened(tmp_path, **{"vector_index": "hnsw", **config}) as store:
            await all_are_found(store)


async def test_an_index_that_knows_more_than_the_database_is_made_anew(tmp_path: Path) -> None:
    """As after a power failure without `durable`, or where a copy of the database was put back."""
    await filled(tmp_path, vector_index="hnsw")
    copy = (tmp_path / "store.sqlite").read_bytes()
    async with opened(tmp_path, vector_index="hnsw") as store:
        await store.ingest(NAME, SETTINGS, [document("late", *["fruit"] * 80, seed=900)])
        assert len((await store.search(NAME, Search(text="fruit", top_k=500, mode="keyword"))).hits) == CHUNKS + 80
    (tmp_path / "store.sqlite").write_bytes(copy)

    async with opened(tmp_path, vector_index="hnsw") as store:
        await all_are_found(store)


@pytest.mark.parametrize(
    "data", [b"not a database, but a text of some length" * 50, b"SQLite format 3\0" + b"\xff" * 9000]
)
async def test_a_file_that_is_no_database_is_a_clear_error_and_stays(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "store.sqlite"
    file.write_bytes(data)

    with pytest.raises(EngineFailed, match=r"store\.sqlite"):
        async with opened(tmp_path):
            pass
    assert file.read_bytes() == data


async def test_a_database_with_damaged_pages_is_a_clear_error_and_stays(tmp_path: Path) -> None:
    await filled(tmp_path)
    file = tmp_path / "store.sqlite"
    data = bytearray(file.read_bytes())
    data[8192 * 2 :] = b"\xa5" * (len(data) - 8192 * 2)
    file.write_bytes(data)

    with pytest.raises(EngineFailed, match=r"store\.sqlite"):
        async with opened(tmp_path) as store:
            await all_are_found(store)
    assert len(file.read_bytes()) == len(data)


@pytest.mark.parametrize(
    ("pragma", "reason"),
    [
        ("user_version = 0", "version 0"),
        ("user_version = 3", "version 3 .*versions 1 to 2"),
        ("application_id = 7", "something else"),
    ],
)
async def test_a_database_of_another_version_or_program_is_left_alone(tmp_path: Path, pragma: str, reason: str) -> None:
    await filled(tmp_path)
    connection = sqlite3.connect(tmp_path / "store.sqlite")
    connection.execute(f"PRAGMA {pragma}")
    connection.close()

    with pytest.raises(EngineFailed, match=reason):
        async with opened(tmp_path):
            pass


@pytest.mark.parametrize("older", ["DROP TABLE owners; DROP TABLE removed;", "DROP TABLE removed;", ""])
async def test_a_database_of_version_1_becomes_one_of_version_2(tmp_path: Path, older: str) -> None:
    await filled(tmp_path)
    with closing(sqlite3.connect(tmp_path / "store.sqlite")) as connection:
        connection.executescript(f"{older} PRAGMA user_version = 1;")

    async with opened(tmp_path) as store:
        await all_are_found(store)
        await store.ingest("new", SETTINGS, [document("d", "kiwi")])
        await store.drop("new")
        await store.sweeper.sweep()

    with closing(sqlite3.connect(tmp_path / "store.sqlite")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert {"owners", "removed"} <= tables
    async with opened(tmp_path) as store:
        await all_are_found(store)


async def test_an_ingest_that_the_disk_has_no_room_for_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.ingest(NAME, SETTINGS, [document("d", "kiwi")])
        large = [document(f"d{n}", *["plum " * 500] * 20) for n in range(20)]

        await store._in(store.writer, lambda: limit_pages(store, 40))
        for name in (NAME, "another"):
            with pytest.raises(InsufficientStorage, match="make room"):
                await store.ingest(name, SETTINGS, [document("d", "plum"), *large])
        assert [(info.name, info.documents, info.chunks) for info in await store.collections()] == [(NAME, 1, 1)]
        assert places(await store.search(NAME, Search(text="kiwi plum", mode="keyword"))) == [("d", 0)]

        await store._in(store.writer, lambda: limit_pages(store, 2**30))
        await store.ingest("another", SETTINGS, large)
        assert len((await store.search("another", Search(text="plum", mode="keyword", top_k=500))).hits) == 400


def limit_pages(store: HybridStore, pages: int) -> None:
    store.database.connection().execute(f"PRAGMA max_page_count = {pages}")


async def test_a_folder_is_used_by_one_store_at_a_time(tmp_path: Path) -> None:
    async with opened(tmp_path):
        with pytest.raises(EngineFailed, match="another process"):
            async with opened(tmp_path):
                pass
    async with opened(tmp_path):
        pass


async def test_index_files_of_no_collection_are_deleted_at_the_start(tmp_path: Path) -> None:
    await filled(tmp_path)
    (tmp_path / "indexes" / "99-words").mkdir()
    (tmp_path / "indexes" / "99-vectors.index").write_bytes(b"x")

    async with opened(tmp_path) as store:
        await all_are_found(store)

    assert not list((tmp_path / "indexes").glob("99-*"))
