import asyncio
import sqlite3
from pathlib import Path

import pytest

from lmx_hookspecs.errors import Conflict, InvalidRequest, NotFound
from lmx_hookspecs.retrieval import Chunk, CollectionSettings, Document, Search
from lmx_hybrid.snapshots import write_snapshot
from store_support import DIMENSIONS, NAME, SETTINGS, document, opened, places, random_vector

pytest.importorskip("tantivy")


@pytest.fixture
async def file(tmp_path: Path) -> Path:
    """Of a collection whose ids do not count from 1, after others."""
    settings = CollectionSettings(embedding_model="m", dimensions=DIMENSIONS, languages=["de"], metadata={"a": [1]})
    chunk = Chunk(
        index=3, text="Häuser", start=5, end=11, tokens=2, title="T", metadata={"k": 1}, embedding=random_vector(9)
    )
    async with opened(tmp_path / "first") as store:
        await store.ingest("other", SETTINGS, [document("x", "kiwi", "kiwi")])
        await store.ingest(NAME, settings, [document("gone", "Haus"), document("replaced", "Haus")])
        await store.ingest(NAME, settings, [Document(id="d", title="D", metadata={"m": 1}, chunks=[chunk])])
        await store.ingest(NAME, settings, [document("replaced", "neu", seed=5)])
        await store.delete(NAME, ["gone"])
        assert await store.snapshot(NAME, tmp_path / "file") == 2
    return tmp_path / "file"


async def test_a_restored_collection_is_the_same_in_another_store(tmp_path: Path, file: Path) -> None:
    async with opened(tmp_path / "first") as old, opened(tmp_path / "second") as new:
        await new.ingest("before", SETTINGS, [document("x", "kiwi", "kiwi")])
        info = await new.restore(file, "copy")

        assert (info.languages, info.metadata, info.embedding_model) == (["de"], {"a": [1]}, "m")
        assert (info.documents, info.chunks) == (2, 2)
        for name in ("d", "replaced"):
            assert await new.document("copy", name) == await old.document(NAME, name)
        for search in (
            Search(text="Haus", mode="keyword"),
            Search(embedding=random_vector(9), mode="vector", with_embeddings=True),
            Search(text="neu", embedding=random_vector(9), filter={"type": "eq", "key": "k", "value": 1}),
        ):
            assert (await new.search("copy", search)).hits == (await old.search(NAME, search)).hits
        assert places(await new.search("before", Search(text="kiwi", mode="keyword"))) == [("x", 0), ("x", 1)]
        await new.ingest("copy", SETTINGS_OF_COPY, [document("d", "anders")])
        assert (await new.collection("copy")).chunks == 2


SETTINGS_OF_COPY = CollectionSettings(embedding_model="m", dimensions=DIMENSIONS)


@pytest.mark.parametrize(
    "statement",
    [
        "PRAGMA user_version = 2",
        "PRAGMA application_id = 1",
        "CREATE TRIGGER t AFTER INSERT ON chunks BEGIN DELETE FROM chunks; END",
        "CREATE VIEW v AS SELECT 1",
        "ALTER TABLE chunks ADD COLUMN more TEXT",
        "DELETE FROM texts",
        "DELETE FROM vectors WHERE id = 1",
        "DELETE FROM collections",
        "UPDATE documents SET id = id + 5",
        "UPDATE chunks SET document = 99",
        "UPDATE documents SET chunks = 7",
        "UPDATE documents SET metadata = 'no json'",
        "UPDATE chunks SET metadata = '[]'",
        "UPDATE collections SET dimensions = 5",
        "UPDATE collections SET dimensions = 0",
        "UPDATE collections SET dimensions = 'x'",
        "UPDATE collections SET languages = '{}'",
        "UPDATE vectors SET embedding = x'0000c07f' || substr(embedding, 5)",
        "UPDATE vectors SET embedding = substr(embedding, 5)",
        "UPDATE texts SET text = x'ff'",
        "UPDATE texts SET text = CAST(x'ff' AS TEXT)",
        "UPDATE documents SET title = CAST(x'c3' AS TEXT)",
        "UPDATE documents SET name = name || char(0)",
        "INSERT INTO deletions VALUES (1, 1, 1)",
    ],
)
async def test_a_snapshot_that_was_tampered_with_is_refused_and_nothing_is_restored(
    tmp_path: Path, file: Path, statement: str
) -> None:
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute(statement)
    connection.close()

    await refused(tmp_path, file)


@pytest.mark.parametrize("how", ["missing", "empty", "cut", "flipped", "folder", "text"])
async def test_what_is_no_snapshot_is_refused_and_nothing_is_restored(tmp_path: Path, file: Path, how: str) -> None:
    spoil(file, how)

    await refused(tmp_path, file)


def spoil(file: Path, how: str) -> None:
    data = bytearray(file.read_bytes())
    file.unlink()
    match how:
        case "empty":
            file.write_bytes(b"")
        case "cut":
            file.write_bytes(data[: len(data) // 2])
        case "flipped":
            data[8192 + 8 : 8192 + 64] = b"\xff" * 56
            file.write_bytes(data)
        case "folder":
            file.mkdir()
        case "text":
            file.write_text("no snapshot, but a text" * 1000)


async def refused(tmp_path: Path, file: Path) -> None:
    async with opened(tmp_path / "second") as store:
        with pytest.raises(InvalidRequest) as caught:
            await store.restore(file, "copy")
        assert caught.value.code == "invalid_snapshot"
        assert await store.collections() == []
        for table in ("documents", "chunks", "texts", "vectors"):
            rows = store.database.connection().execute(f"SELECT count(*) FROM {table}")  # noqa: S608
            assert rows.fetchone() == (0,)


async def test_a_snapshot_is_of_one_moment_while_others_write(tmp_path: Path) -> None:
    async with opened(tmp_path / "store") as store:
        await store.ingest(NAME, SETTINGS, [document("d", *["kiwi0"] * 20)])

        async def write() -> None:
            for number in range(1, 20):
                await store.ingest(NAME, SETTINGS, [document("d", *[f"kiwi{number}"] * 20)])

        writing = asyncio.ensure_future(write())
        for number in range(5):
            await store.snapshot(NAME, tmp_path / f"file{number}")
            await store.restore(tmp_path / f"file{number}", f"copy{number}")
            chunks = (await store.document(f"copy{number}", "d")).chunks
            assert len(chunks) == 20
            assert len({chunk.text for chunk in chunks}) == 1
        await writing


async def test_of_a_collection_that_is_dropped_first_no_snapshot_is_written(tmp_path: Path) -> None:
    async with opened(tmp_path / "store") as store:
        await store.ingest(NAME, SETTINGS, [document("d", "kiwi")])
        number = store.live[NAME].id
        await store.drop(NAME)

        with pytest.raises(NotFound):
            await store._in(store.readers, lambda: write_snapshot(store.database, number, tmp_path / "file"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store"]  # noqa: ASYNC240


async def test_of_two_snapshots_to_one_file_one_is_written_and_whole(tmp_path: Path) -> None:
    async with opened(tmp_path / "store") as store:
        await store.ingest(NAME, SETTINGS, [document("d", *["kiwi " * 50] * 2000)])

        calls = [store.snapshot(NAME, tmp_path / "file") for _ in range(2)]
        first, second = sorted(await asyncio.gather(*calls, return_exceptions=True), key=str)

        assert (first, getattr(second, "code", second)) == (2000, "file_exists")
        assert (await store.restore(tmp_path / "file", "copy")).chunks == 2000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "store"]  # noqa: ASYNC240


async def test_files_and_collections_that_are_there_are_not_written_over(tmp_path: Path, file: Path) -> None:
    data = file.read_bytes()  # noqa: ASYNC240  a test has time
    async with opened(tmp_path / "first") as store:
        for call, code in (
            (store.snapshot(NAME, file), "file_exists"),
            (store.restore(file, NAME), "collection_exists"),
        ):
            with pytest.raises(Conflict) as caught:
                await call
            assert caught.value.code == code
        with pytest.raises(NotFound):
            await store.snapshot("none", tmp_path / "none")
    assert file.read_bytes() == data  # noqa: ASYNC240
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "first"]  # noqa: ASYNC240


async def test_the_name_is_taken_from_the_call_even_for_an_empty_collection(tmp_path: Path) -> None:
    async with opened(tmp_path / "store") as store:
        await store.create(NAME, SETTINGS)

        assert await store.snapshot(NAME, tmp_path / "file") == 0
        assert (await store.restore(tmp_path / "file", "copy")).name == "copy"
        assert (await store.search("copy", Search(text="x", embedding=random_vector(0)))).hits == []
