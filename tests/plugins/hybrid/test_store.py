import asyncio
import threading
from collections.abc import Iterable
from pathlib import Path
from sqlite3 import Connection

import pytest
from attrs import evolve

from lmx_hookspecs.errors import Conflict, InvalidRequest, LmxError, NotFound
from lmx_hookspecs.retrieval import Chunk, CollectionSettings, Document, Fusion, Search, SearchMode
from lmx_hybrid.collection import Live
from lmx_hybrid.database import Database
from lmx_hybrid.store import HybridStore
from store_support import DIMENSIONS, NAME, SETTINGS, document, opened, places, random_vector, vector

pytest.importorskip("tantivy")


async def contents(store: HybridStore) -> set[str]:
    return {info.id for info in (await store.documents(NAME, limit=1000)).documents}


@pytest.mark.parametrize("name", ["a/b", "../..", "CON", "日本", "x" * 64, "'; DROP TABLE chunks", "%00", "."])
async def test_any_printable_text_names_a_collection(tmp_path: Path, name: str) -> None:
    async with opened(tmp_path / "store") as store:
        await store.ingest(name, SETTINGS, [document("d", "kiwi")])

        assert places(await store.search(name, Search(text="kiwi", mode="keyword"))) == [("d", 0)]
    assert [path.name for path in tmp_path.iterdir()] == ["store"]  # noqa: ASYNC240  a test has time


@pytest.mark.parametrize("name", ["", "x" * 65, "a\nb", "a\0b", "\ud800"])
async def test_other_names_are_refused(tmp_path: Path, name: str) -> None:
    async with opened(tmp_path) as store:
        for call in (store.ingest(name, SETTINGS, []), store.create(name, SETTINGS)):
            with pytest.raises(InvalidRequest) as caught:
                await call
            assert caught.value.param == "collection"


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (Document(id="bad", chunks=[Chunk(index=0, text="x", embedding=b"")]), "dimension_mismatch"),
        (Document(id="bad", chunks=[Chunk(index=0, text="x", embedding=b"abc")]), "invalid_vector"),
        (Document(id="bad", chunks=[Chunk(index=0, text="x", embedding=vector(float("inf")))]), "invalid_vector"),
        (Document(id="bad", chunks=[Chunk(index=0, text="\ud800", embedding=vector(1))]), "invalid_value"),
        (Document(id="bad", metadata={"x": float("nan")}), "invalid_metadata"),
        (Document(id="bad", metadata={"x": {1, 2}}), "invalid_metadata"),
        (Document(id="bad", metadata={"x": "a\0b"}), "invalid_metadata"),
        (Document(id="bad", title="\udfff"), "invalid_value"),
        (Document(id=""), "invalid_value"),
        (Document(id="a\0b"), "invalid_value"),
        (Document(id="x" * 2000), "invalid_value"),
    ],
)
async def test_bad_documents_are_refused_and_nothing_of_their_ingest_is_stored(
    tmp_path: Path, bad: Document, code: str
) -> None:
    async with opened(tmp_path) as store:
        with pytest.raises(InvalidRequest) as caught:
            await store.ingest(NAME, SETTINGS, [document("good", "kiwi"), bad])

        assert caught.value.code == code
        assert await store.collections() == []
        await store.ingest(NAME, SETTINGS, [document("good", "kiwi", metadata={"x": "a\\u0000b"})])
        with pytest.raises(InvalidRequest):
            await store.ingest(NAME, SETTINGS, [document("other", "kiwi"), bad])
        assert await contents(store) == {"good"}


async def test_other_models_and_dimensions_are_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.ingest(NAME, SETTINGS, [document("d", "kiwi")])

        with pytest.raises(Conflict) as caught:
            await store.ingest(NAME, evolve(SETTINGS, embedding_model="other"), [])
        assert caught.value.code == "embedding_model_mismatch"
        with pytest.raises(InvalidRequest) as refused:
            await store.ingest(NAME, evolve(SETTINGS, dimensions=DIMENSIONS + 1), [])
        assert refused.value.code == "dimension_mismatch"


@pytest.mark.parametrize(
    ("search", "param"),
    [
        (Search(embedding=vector(1), mode="vector", top_k=0), "top_k"),
        (Search(embedding=vector(1), mode="sideways"), "search_mode"),  # type: ignore[arg-type]
        (Search(embedding=vector(1), fusion=Fusion(method="vote")), "fusion"),  # type: ignore[arg-type]
        (Search(embedding=vector(1), filter={"type": "or", "filters": [{}]}), "filter.filters[0].type"),
    ],
)
async def test_a_search_that_cannot_be_is_refused(tmp_path: Path, search: Search, param: str) -> None:
    async with opened(tmp_path) as store:
        await store.ingest(NAME, SETTINGS, [document("d", "kiwi")])

        with pytest.raises(InvalidRequest) as caught:
            await store.search(NAME, search)
        assert caught.value.param == param


async def test_a_search_sees_all_that_was_acknowledged_before_it(tmp_path: Path) -> None:
    async with opened(tmp_path, commit_interval_sec=10.0) as store:
        for number in range(10):
            await store.ingest(NAME, SETTINGS, [document("d", f"version{number}", seed=number)])
            search = Search(text=f"version{number}", embedding=random_vector(number))
            (hit,) = (await store.search(NAME, search)).hits
            assert hit.chunk.text == f"version{number}"
            assert hit.legs["vector"] == pytest.approx(1.0)
            gone = Search(text=f"version{number - 1}", mode="keyword")
            assert (await store.search(NAME, gone)).hits == []


async def test_writers_and_readers_at_the_same_time_never_see_half_of_anything(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.ingest(NAME, SETTINGS, [document("d", *["kiwi first"] * 5)])

        async def write(round_: int) -> None:
            await store.ingest(NAME, SETTINGS, [document("d", *[f"kiwi round{round_}"] * 5, seed=round_)])

        async def read() -> None:
            found = await store.search(NAME, Search(text="kiwi", mode="keyword", top_k=50))
            assert len({hit.chunk.text for hit in found.hits}) <= 1
            assert len(places(found)) == len(set(places(found)))
            assert len({chunk.text for chunk in (await store.document(NAME, "d")).chunks}) == 1

        await asyncio.gather(*(one for round_ in range(20) for one in (write(round_), read(), read())))
        assert len((await store.search(NAME, Search(text="kiwi", mode="keyword", top_k=50))).hits) == 5


async def test_an_ingest_whose_caller_gives_up_is_whole_or_not_there(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.create(NAME, SETTINGS)
        for number in range(10):
            call = asyncio.ensure_future(store.ingest(NAME, SETTINGS, [document(f"d{number}", "kiwi", "kiwi")]))
            await asyncio.sleep(0)
            call.cancel()
            await asyncio.wait([call])

        await store._in(store.writer, lambda: None)  # what had begun when its caller gave up has ended
        found = await store.search(NAME, Search(text="kiwi", mode="keyword", top_k=100))
        there = await contents(store)
        assert len(found.hits) == 2 * len(there)


async def test_nothing_blocks_the_event_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used: set[int] = set()
    original = Database.connection

    def recording(database: Database) -> Connection:
        used.add(threading.get_ident())
        return original(database)

    passing = {"type": "ne", "key": "a", "value": 1}
    async with opened(tmp_path) as store:
        monkeypatch.setattr(Database, "connection", recording)
        await store.ingest(NAME, SETTINGS, [document("d", "kiwi")])
        await store.search(NAME, Search(text="kiwi", embedding=random_vector(0), filter=passing))
        await store.documents(NAME)
        await store.document(NAME, "d")
        await store.update_metadata(NAME, "d", {})
        await store.snapshot(NAME, tmp_path / "file")
        await store.restore(tmp_path / "file", "copy")
        await store.delete(NAME, ["d"])
        await store.drop(NAME)
        await store.describe()

    assert used
    assert threading.get_ident() not in used


async def test_a_dropped_collection_leaves_nothing_and_its_name_can_be_used_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.ingest(NAME, SETTINGS, [document("d", "kiwi", "kiwi")])
        await store.search(NAME, Search(text="kiwi", mode="keyword"))

        assert await store.drop(NAME) == 2
        assert not list((tmp_path / "indexes").iterdir())
        with pytest.raises(NotFound, match="lists what there is"):
            await store.search(NAME, Search(text="kiwi", mode="keyword"))
        other = CollectionSettings(embedding_model="other", dimensions=2)
        await store.create(NAME, other)
        assert (await store.search(NAME, Search(text="kiwi", mode="keyword"))).hits == []
        rows = store.database.connection().execute("SELECT count(*) FROM vectors").fetchone()
        assert rows == (0,)


async def test_dropping_while_searching_gives_hits_or_a_clear_error(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for number in range(5):
            await store.ingest(NAME, SETTINGS, [document(f"d{n}", "kiwi", seed=n) for n in range(50)])
            search = Search(text="kiwi", embedding=random_vector(number))
            calls = [store.search(NAME, search) for _ in range(5)]
            results = await asyncio.gather(*calls[:3], store.drop(NAME), *calls[3:], return_exceptions=True)
            assert all(not isinstance(one, BaseException) or isinstance(one, LmxError) for one in results)


@pytest.mark.parametrize("mode", ["keyword", "vector"])
async def test_a_collection_that_is_dropped_under_a_search_is_not_found_and_leaves_nothing(
    tmp_path: Path, mode: SearchMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as store:
        await store.ingest(NAME, SETTINGS, [document("d", "kiwi")])
        follow = store.follower.follow

        async def drop_then_follow(live: Live, names: Iterable[str]) -> None:
            await follow(live, names)
            if not live.dropped:
                await store.drop(NAME)

        monkeypatch.setattr(type(store.follower), "follow", lambda _, *given: drop_then_follow(*given))
        with pytest.raises(NotFound):
            await store.search(NAME, Search(text="kiwi", embedding=random_vector(0), mode=mode))

        assert not list((tmp_path / "indexes").iterdir())


async def test_a_zero_vector_is_similar_to_nothing_and_large_numbers_fit(tmp_path: Path) -> None:
    chunks = [
        Chunk(index=0, text="", embedding=vector(0)),
        Chunk(index=1, text="", embedding=vector(3e38, 3e38)),
        Chunk(index=2, text="", embedding=vector(1e-38)),
    ]
    async with opened(tmp_path) as store:
        await store.ingest(NAME, SETTINGS, [Document(id="d", chunks=chunks)])

        found = await store.search(NAME, Search(embedding=vector(1), mode="vector"))
        assert [hit.chunk.index for hit in found.hits] == [2, 1, 0]
        assert [hit.score for hit in found.hits] == pytest.approx([1.0, 0.5**0.5, 0.0])


async def test_replacing_keeps_when_a_document_was_made(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.ingest(NAME, SETTINGS, [document("d", "one", content_hash="1")])
        first = (await store.document(NAME, "d")).info
        await store.ingest(NAME, SETTINGS, [document("d", "two", "three", content_hash="2")])
        second = (await store.document(NAME, "d")).info

    assert second.created_at == first.created_at
    assert second.updated_at > first.updated_at
    assert (second.content_hash, second.chunks) == ("2", 2)


async def test_pages_go_through_all_documents_in_order(tmp_path: Path) -> None:
    names = [f"{letter}{number}" for letter in "bAé" for number in range(5)]
    async with opened(tmp_path) as store:
        await store.ingest(NAME, SETTINGS, [document(name, metadata={"letter": name[0]}) for name in names])

        seen: list[str] = []
        while (page := await store.documents(NAME, after=seen[-1] if seen else "", limit=4)).documents:
            assert page.total == 15
            seen += [info.id for info in page.documents]
        assert seen == sorted(names)
        filtered = await store.documents(NAME, filter={"type": "eq", "key": "letter", "value": "A"}, limit=2)
        assert ([info.id for info in filtered.documents], filtered.total) == (["A0", "A1"], 5)


async def test_hybrid_puts_what_both_legs_found_first_and_weights_move_it(tmp_path: Path) -> None:
    documents = [
        Document(id="both", chunks=[Chunk(index=0, text="kiwi and plum", embedding=vector(1, 0.5))]),
        Document(id="vector", chunks=[Chunk(index=0, text="nothing", embedding=vector(1))]),
        Document(id="keyword", chunks=[Chunk(index=0, text="kiwi kiwi kiwi", embedding=vector(0, 0, 1))]),
        *(Document(id=f"near{n}", chunks=[Chunk(index=0, text="", embedding=vector(1, n))]) for n in range(1, 5)),
    ]
    async with opened(tmp_path) as store:
        await store.ingest(NAME, SETTINGS, documents)

        async def order(fusion: Fusion) -> list[str]:
            found = await store.search(NAME, Search(text="kiwi", embedding=vector(1), fusion=fusion))
            return [hit.document_id for hit in found.hits]

        assert (await order(Fusion()))[0] == "both"
        assert (await order(Fusion(vector_weight=5)))[0] in ("both", "vector")
        assert (await order(Fusion(keyword_weight=0, k=1)))[0] == "vector"
        assert (await order(Fusion(vector_weight=0, k=1)))[0] == "keyword"
        assert (await order(Fusion(method="weighted_sum", keyword_weight=0)))[0] == "vector"


async def test_the_store_describes_itself(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.ingest(NAME, SETTINGS, [document("d", "kiwi", "plum")])
        await store.search(NAME, Search(text="kiwi", embedding=random_vector(0)))

        facts = await store.describe()

    assert facts["memory_bytes"] > 2**20
    assert facts["database_bytes"] > 0
    one = facts["collections"][NAME]
    assert (one["documents"], one["chunks"], one["pending"]) == (1, 2, False)
    assert one["legs"]["keyword"]["chunks"] == one["legs"]["vector"]["chunks"] == 2
    assert one["legs"]["keyword"]["disk_bytes"] > 0
