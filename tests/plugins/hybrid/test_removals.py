"""Large deletions and restores: seen whole or not at all, done a little at a time, and resumed after a crash."""

import asyncio
from pathlib import Path
from threading import Event

import pytest

from lmx_hookspecs.errors import Conflict, NotFound
from lmx_hookspecs.retrieval import Search, SearchMode
from lmx_hybrid import restoring
from lmx_hybrid.removals import BATCH
from lmx_hybrid.restoring import Place, Restorer
from lmx_hybrid.store import HybridStore
from store_support import NAME, SETTINGS, document, opened, places, random_vector

pytest.importorskip("tantivy")

TABLES = ("documents", "chunks", "texts", "vectors")
MODES: tuple[SearchMode, ...] = ("keyword", "vector", "hybrid")
LARGE = [document(f"d{number}", *["kiwi"] * 40, seed=number) for number in range(20)]
"""More chunks than go in one transaction."""


def rows(store: HybridStore, table: str) -> int:
    (count,) = store.database.connection().execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
    return int(count)


async def found(store: HybridStore, collection: str, mode: SearchMode) -> set[tuple[str, int]]:
    search = Search(text="kiwi", embedding=random_vector(1), mode=mode, top_k=2000)
    return set(places(await store.search(collection, search)))


async def without_sweeping(store: HybridStore) -> None:
    """As if a crash came before anything was swept."""
    await store.sweeper.close()


async def test_deleted_documents_are_gone_at_once_and_their_rows_later(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.ingest(NAME, SETTINGS, [*LARGE, document("kept", "kiwi")])
        await found(store, NAME, "hybrid")
        await without_sweeping(store)

        assert await store.delete(NAME, [one.id for one in LARGE]) == len(LARGE)

        assert rows(store, "chunks") == 801, "nothing has been swept yet"
        for mode in MODES:
            assert await found(store, NAME, mode) == {("kept", 0)}
        info = await store.collection(NAME)
        assert (info.documents, info.chunks) == (1, 1)
        assert [one.id for one in (await store.documents(NAME)).documents] == ["kept"]
        assert (await store.documents(NAME, filter={"type": "ne", "key": "a", "value": 1})).total == 1
        assert set(await store.hashes(NAME, ["d1", "kept"])) == {"kept"}
        with pytest.raises(NotFound):
            await store.document(NAME, "d1")
        assert await store.snapshot(NAME, tmp_path / "file") == 1

        await store.sweeper.sweep()
        assert [rows(store, table) for table in TABLES] == [1, 1, 1, 1]


@pytest.mark.parametrize("indexed", [True, False])
async def test_a_deletion_that_was_not_swept_is_swept_at_the_next_start(tmp_path: Path, indexed: bool) -> None:
    async with opened(tmp_path) as store:
        await store.ingest(NAME, SETTINGS, [*LARGE, document("kept", "kiwi")])
        if indexed:
            await found(store, NAME, "hybrid")
        await without_sweeping(store)
        await store.delete(NAME, [one.id for one in LARGE])
        await store.ingest(NAME, SETTINGS, [document("new", "kiwi")])

    async with opened(tmp_path) as store:
        for mode in MODES:
            assert await found(store, NAME, mode) == {("kept", 0), ("new", 0)}
        await store.sweeper.sweep()
        assert [rows(store, table) for table in TABLES] == [2, 2, 2, 2]


async def test_a_large_document_is_replaced_again_and_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await without_sweeping(store)
        for version in range(3):
            texts = [f"kiwi version{version}"] * (BATCH + 10)
            await store.ingest(NAME, SETTINGS, [document("d", *texts), document("e", "x"), document("e", "y")])
            assert len(await found(store, NAME, "keyword")) == BATCH + 10
            assert {chunk.text for chunk in (await store.document(NAME, "d")).chunks} == set(texts)

        await store.sweeper.sweep()
        assert rows(store, "chunks") == BATCH + 11


async def test_a_dropped_name_can_be_taken_at_once_and_old_rows_are_swept_after_a_crash(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.ingest(NAME, SETTINGS, LARGE)
        await store.delete(NAME, ["d3"])
        await without_sweeping(store)

        assert await store.drop(NAME) == 19 * 40
        assert await store.collections() == []
        with pytest.raises(NotFound):
            await found(store, NAME, "keyword")
        await store.ingest(NAME, SETTINGS, [document("d1", "kiwi")])
        for mode in MODES:
            assert await found(store, NAME, mode) == {("d1", 0)}
        assert rows(store, "documents") > 19

    async with opened(tmp_path) as store:
        assert await found(store, NAME, "hybrid") == {("d1", 0)}
        await store.sweeper.sweep()
        assert [rows(store, table) for table in (*TABLES, "removed")] == [1, 1, 1, 1, 0]


async def test_a_drop_whose_caller_gives_up_leaves_no_index_files(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.ingest(NAME, SETTINGS, [document("d", "kiwi")])
        await found(store, NAME, "hybrid")
        assert list((tmp_path / "indexes").iterdir())
        busy = Event()
        store.housekeeper.submit(busy.wait)

        dropped = asyncio.ensure_future(store.drop(NAME))
        await asyncio.sleep(0)
        await store._in(store.writer, lambda: None)  # it is dropped, and waits for its files to go
        dropped.cancel()
        await asyncio.gather(dropped, return_exceptions=True)
        busy.set()
        await store._in(store.housekeeper, lambda: None)

        assert dropped.cancelled()
        assert list((tmp_path / "indexes").iterdir()) == []


async def test_a_restore_is_hidden_until_it_is_whole_and_others_write_in_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restoring, "BATCH", 16)
    async with opened(tmp_path / "store") as store:
        await store.ingest(NAME, SETTINGS, LARGE)
        await store.snapshot(NAME, tmp_path / "file")

        restored = asyncio.ensure_future(store.restore(tmp_path / "file", "copy"))
        between = 0
        while not restored.done():
            await store.ingest("other", SETTINGS, [document(f"o{between}", "kiwi")])
            stored = rows(store, "chunks")
            seen = {info.name: info.chunks for info in await store.collections()}
            assert seen.get("copy", 800) == 800, "it is there whole or not at all"
            if "copy" not in seen and stored > 800 + between + 1:
                between += 1  # its rows are there, and it is not
        assert between > 5
        assert (await restored).chunks == 800
        for mode in MODES:
            assert await found(store, "copy", mode) == await found(store, NAME, mode)
        assert {chunk.text for chunk in (await store.document("copy", "d7")).chunks} == {"kiwi"}


class GivenUpError(Exception):
    pass


async def test_what_a_crash_or_an_error_leaves_of_a_restore_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Place.batches

    def some(self: Place) -> object:
        yield from list(whole(self))[:3]
        raise GivenUpError

    async with opened(tmp_path / "store") as store:
        await store.ingest(NAME, SETTINGS, LARGE)
        await store.snapshot(NAME, tmp_path / "file")
        await without_sweeping(store)
        monkeypatch.setattr(Place, "batches", some)
        with pytest.raises(GivenUpError):
            await store.restore(tmp_path / "file", "copy")
        assert rows(store, "chunks") > 800
        assert [info.name for info in await store.collections()] == [NAME]
    monkeypatch.undo()

    async with opened(tmp_path / "store") as store:
        assert [info.name for info in await store.collections()] == [NAME]
        await store.sweeper.sweep()
        assert [rows(store, table) for table in (*TABLES, "removed")] == [20, 800, 800, 800, 0]
        assert (await store.restore(tmp_path / "file", "copy")).chunks == 800
        assert await found(store, "copy", "keyword") == await found(store, NAME, "keyword")


async def test_a_restore_whose_name_was_taken_meanwhile_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path / "store") as store:
        await store.ingest(NAME, SETTINGS, LARGE)
        await store.snapshot(NAME, tmp_path / "file")
        copy = Restorer.copy

        async def copy_and_lose(self: Restorer) -> Place:
            place = await copy(self)
            await store.sweeper.sweep()
            assert rows(store, "chunks") == 1600, "what is being restored is not swept"
            await store.create("copy", SETTINGS)
            return place

        monkeypatch.setattr(Restorer, "copy", copy_and_lose)
        with pytest.raises(Conflict):
            await store.restore(tmp_path / "file", "copy")
        await store.sweeper.sweep()
        assert (await store.collection("copy")).chunks == 0
        assert rows(store, "chunks") == 800


async def test_searches_do_not_wait_for_snapshots(tmp_path: Path) -> None:
    async with opened(tmp_path / "store", reader_threads=1) as store:
        await store.ingest(NAME, SETTINGS, [document("d", "kiwi")])
        busy = Event()
        store.copiers.submit(busy.wait)  # as a large one would keep it

        snapshots = [asyncio.ensure_future(store.snapshot(NAME, tmp_path / f"file{number}")) for number in range(3)]
        assert await found(store, NAME, "hybrid") == {("d", 0)}
        assert not any(one.done() for one in snapshots)
        busy.set()
        assert await asyncio.gather(*snapshots) == [1, 1, 1]


@pytest.mark.parametrize("batches", [0, 1, 20, 60])
async def test_a_restore_that_its_caller_gives_up_is_there_whole_or_not_at_all(tmp_path: Path, batches: int) -> None:
    async with opened(tmp_path / "store") as store:
        await store.ingest(NAME, SETTINGS, LARGE)
        await store.snapshot(NAME, tmp_path / "file")

        restored = asyncio.ensure_future(store.restore(tmp_path / "file", "copy"))
        while not store.sweeper.restoring and not restored.done():  # noqa: ASYNC110  any moment will do
            await asyncio.sleep(0)
        for _ in range(batches):
            await asyncio.sleep(0)
        restored.cancel()
        await asyncio.gather(restored, return_exceptions=True)
        await store._in(store.writer, lambda: None)
        await store.sweeper.sweep()

        whole = "copy" in [info.name for info in await store.collections()]
        assert rows(store, "chunks") == (1600 if whole else 800)
        assert whole == ("copy" in store.live)
        assert (rows(store, "removed"), store.sweeper.restoring) == (0, set())
