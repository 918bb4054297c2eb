"""A store must keep what it acknowledges, find it, and forget what is deleted."""

import asyncio
import struct
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from attrs import evolve

from lmx_hookspecs.context import WorkerContext
from lmx_hookspecs.errors import Conflict, InvalidRequest, LmxError, NotFound
from lmx_hookspecs.retrieval import Chunk, CollectionSettings, Document, Hit, Retriever, Search, SearchResult
from lmx_hookspecs.stores import RetrieverSpec, StoreSettings
from lmx_hookspecs.testing.expectation import expect

PATIENCE_S = 60.0
NAME = "Bücher & more/.."
SETTINGS = CollectionSettings(
    embedding_model="check", dimensions=4, languages=("en",), owner="me", metadata={"of": "check"}
)
EAST, NORTH, UP = (struct.pack("<4f", *numbers) for numbers in ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0)))
DOCUMENTS = (
    Document(
        id="animals",
        title="Animals",
        metadata={"year": 2020, "kind": "book"},
        content_hash="h1",
        chunks=(
            Chunk(index=0, text="Foxes run through the forest.", start=0, end=29, tokens=6, embedding=EAST),
            Chunk(index=1, text="Owls sleep.", start=29, end=40, tokens=3, embedding=NORTH, metadata={"year": 2024}),
        ),
    ),
    Document(id="cities/tokyo", content_hash="h2", chunks=(Chunk(index=0, text="東京の検索エンジン", embedding=UP),)),
    Document(id="empty", metadata={"kind": "nothing"}, content_hash="h3"),
)


def check_retriever(spec: RetrieverSpec, ctx: WorkerContext) -> None:
    """Open a store of a recipe in a folder of its own, use all of it, and open it once more."""
    with TemporaryDirectory(prefix="lmx-check-retriever-") as folder:
        directory = Path(folder) / "store"
        for part in (_check_first, _check_second):
            asyncio.run(asyncio.wait_for(_with_store(spec, ctx, directory, part), PATIENCE_S))


async def _with_store(
    spec: RetrieverSpec,
    ctx: WorkerContext,
    directory: Path,
    part: Callable[[Retriever, Path], Coroutine[Any, Any, None]],
) -> None:
    store = spec.open(ctx, StoreSettings(directory=directory))
    try:
        await part(store, directory.parent)
    finally:
        await store.close()


async def _check_first(store: Retriever, folder: Path) -> None:
    await _check_unknown(store)
    await store.ingest(NAME, SETTINGS, DOCUMENTS)
    await _check_collection(store)
    await _check_documents(store)
    await _check_search(store)
    await _check_refusals(store)
    await _check_snapshot(store, folder / "copy.snapshot")
    await _check_identity(store)
    await _check_changes(store)


async def _check_second(store: Retriever, folder: Path) -> None:
    """After a restart: what was deleted is still gone, and the rest is there."""
    hits = (await store.search(NAME, Search(text="wolves", embedding=EAST, top_k=10))).hits
    expect([hit.document_id for hit in hits][:1] == ["animals"], "a restart loses what was replaced")
    expect("cities/tokyo" not in {hit.document_id for hit in hits}, "a restart brings back what was deleted")
    expect(await store.drop(NAME) == 1, "drop() does not return how many chunks there were")
    await _refused(NotFound, "collection_not_found", store.search(NAME, Search(text="x", mode="keyword")))
    info = await store.restore(folder / "copy.snapshot", NAME)
    expect((info.documents, info.chunks) == (3, 3), "a name that was dropped cannot be restored")


async def _check_unknown(store: Retriever) -> None:
    expect(not await store.collections(), "a fresh store has collections")
    expect(not await store.hashes("none", ["a"]), "hashes() of an unknown collection are not empty")
    for call in (store.collection("none"), store.drop("none"), store.document("none", "a"), store.delete("none", [])):
        await _refused(NotFound, "collection_not_found", call)


async def _check_collection(store: Retriever) -> None:
    info = await store.collection(NAME)
    expect((info.name, info.documents, info.chunks, info.dimensions) == (NAME, 3, 3, 4), f"counts are wrong: {info}")
    expect(info.metadata == SETTINGS.metadata, "a collection loses its metadata")
    expect(info.owner == SETTINGS.owner, "a collection loses its owner, and others can read it")
    expect([one.name for one in await store.collections()] == [NAME], "collections() does not list the collection")
    await _refused(Conflict, "collection_exists", store.create(NAME, SETTINGS))


async def _check_documents(store: Retriever) -> None:
    page = await store.documents(NAME, limit=2)
    expect([one.id for one in page.documents] == ["animals", "cities/tokyo"], "documents are not in order of their ids")
    expect(page.total == len(DOCUMENTS), "total is not that of all pages")
    rest = await store.documents(NAME, after="cities/tokyo")
    expect([one.id for one in rest.documents] == ["empty"], "`after` does not continue behind that id")
    books = await store.documents(NAME, filter={"type": "eq", "key": "kind", "value": "book"})
    expect([one.id for one in books.documents] == ["animals"], "documents() does not filter")
    stored = await store.document(NAME, "animals")
    wanted = [evolve(chunk, embedding=b"") for chunk in DOCUMENTS[0].chunks]
    expect(list(stored.chunks) == wanted, f"a document comes back changed: {stored.chunks}")
    expect(await store.hashes(NAME, ["empty", "none"]) == {"empty": "h3"}, "hashes() are not those that are there")
    await _refused(NotFound, "document_not_found", store.document(NAME, "none"))


async def _check_search(store: Retriever) -> None:
    near = struct.pack("<4f", 0.8, 0.6, 0, 0)
    by_vector = await store.search(NAME, Search(embedding=near, mode="vector", with_embeddings=True))
    expect(by_vector.total_in_collection == 3, "total_in_collection counts something else")
    expect(_places(by_vector)[:2] == [("animals", 0), ("animals", 1)], "vectors are not ordered by cosine similarity")
    first = by_vector.hits[0]
    expect(abs(first.legs["vector"] - 0.8) < 1e-5 and first.ranks == {"vector": 1}, "a vector hit has other scores")
    expect(first.chunk.embedding == EAST, "an embedding comes back changed")
    for text, place in (("fox", ("animals", 0)), ("検索", ("cities/tokyo", 0)), ('OR ( "owl', ("animals", 1))):
        found = await store.search(NAME, Search(text=text, mode="keyword"))
        expect(_places(found)[:1] == [place], f"the words {text!r} find {_places(found)}")
    both = await store.search(NAME, Search(text="owls", embedding=NORTH))
    expect(_places(both)[0] == ("animals", 1), "what both legs find is not first")
    _check_hit(both.hits[0])
    expect(not (await store.search(NAME, Search(text="", embedding=near, min_score=1.1))).hits, "min_score is ignored")
    recent = await store.search(
        NAME, Search(text="fox", embedding=EAST, filter={"type": "gt", "key": "year", "value": 2021})
    )
    expect(_places(recent) == [("animals", 1)], "a filter does not take the chunk's metadata before the document's")


def _check_hit(hit: Hit) -> None:
    expect(set(hit.legs) == set(hit.ranks) == {"vector", "keyword"}, f"legs are missing: {hit.legs}, {hit.ranks}")
    expect(0 <= hit.relevance <= 1, f"relevance is {hit.relevance}")
    expect(dict(hit.metadata) == {"year": 2024, "kind": "book"}, f"metadata are not both together: {hit.metadata}")
    expect(hit.document_title == "Animals", "a hit lacks its document's title")
    expect(not hit.chunk.embedding, "embeddings come unasked")


async def _check_refusals(store: Retriever) -> None:
    bad = {
        "dimension_mismatch": struct.pack("<2f", 1, 1),
        "invalid_vector": struct.pack("<4f", 1, float("nan"), 0, 0),
    }
    for code, embedding in bad.items():
        document = Document(id="bad", chunks=(Chunk(index=0, text="bad", embedding=embedding),))
        await _refused(InvalidRequest, code, store.ingest(NAME, SETTINGS, [Document(id="good"), document]))
        await _refused(InvalidRequest, code, store.search(NAME, Search(embedding=embedding, mode="vector")))
    await _refused(InvalidRequest, "invalid_filter", store.search(NAME, Search(embedding=EAST, filter={"type": "x"})))
    other = evolve(SETTINGS, embedding_model="other")
    await _refused(Conflict, "embedding_model_mismatch", store.ingest(NAME, other, [Document(id="good")]))
    expect((await store.collection(NAME)).documents == 3, "a part of a refused ingest was stored")


async def _check_snapshot(store: Retriever, file: Path) -> None:
    expect(await store.snapshot(NAME, file) == 3, "snapshot() does not return how many chunks there are")
    await _refused(Conflict, None, store.snapshot(NAME, file))
    info = await store.restore(file, "copy")
    expect((info.name, info.documents, info.chunks) == ("copy", 3, 3), f"a restored collection is another: {info}")
    expect(info.metadata == SETTINGS.metadata, "a restored collection loses its metadata")
    expect(info.owner is None, "a snapshot brings an owner along")
    found = await store.search("copy", Search(text="fox", embedding=EAST))
    expect(_places(found)[0] == ("animals", 0), "nothing is found in a restored collection")
    await _refused(Conflict, "collection_exists", store.restore(file, "copy"))
    broken = await asyncio.to_thread(_broken_copy, file)
    await _refused(InvalidRequest, "invalid_snapshot", store.restore(broken, "broken"))
    expect(await store.drop("copy") == 3, "drop() does not return how many chunks there were")


async def _check_identity(store: Retriever) -> None:
    """What was made for one collection must not get into another one of its name, nor bring it back."""
    first = await store.create("again", SETTINGS)
    await store.ingest("again", SETTINGS, [Document(id="a")], into=first.id)
    others = evolve(SETTINGS, owner="another")
    await _refused(Conflict, "collection_changed", store.ingest("again", others, [Document(id="b")]))
    await store.drop("again")
    await _refused(Conflict, "collection_changed", store.ingest("again", SETTINGS, [Document(id="a")], into=first.id))
    expect("again" not in {one.name for one in await store.collections()}, "an ingest brings back what was deleted")
    second = await store.create("again", SETTINGS)
    expect(first.id != second.id, "a collection that was made anew has the id of the one before")
    await _refused(Conflict, "collection_changed", store.ingest("again", SETTINGS, [Document(id="a")], into=first.id))
    expect((await store.collection("again")).documents == 0, "a refused ingest was stored")
    await store.drop("again")


def _broken_copy(file: Path) -> Path:
    broken = file.with_name("broken.snapshot")
    broken.write_bytes(file.read_bytes()[:1000])
    return broken


async def _check_changes(store: Retriever) -> None:
    info = await store.update_metadata(NAME, "animals", {"year": 1999})
    expect(dict(info.metadata) == {"year": 1999}, "update_metadata() does not replace the metadata")
    hashes = await store.hashes(NAME, ["animals"])
    expect(not info.content_hash and hashes == {"animals": ""}, "update_metadata() leaves the content hash")
    old = Search(text="fox", embedding=EAST, filter={"type": "eq", "key": "year", "value": 1999})
    expect(_places(await store.search(NAME, old)) == [("animals", 0)], "a filter sees old metadata")
    replaced = Document(id="animals", chunks=(Chunk(index=0, text="Wolves howl.", embedding=EAST),))
    await store.ingest(NAME, SETTINGS, [replaced])
    gone = await store.search(NAME, Search(text="fox owl", mode="keyword"))
    expect(not gone.hits, "what was replaced is still found")
    expect(
        _places(await store.search(NAME, Search(text="howling", mode="keyword"))) == [("animals", 0)], "unseen at once"
    )
    expect(await store.delete(NAME, ["cities/tokyo", "none"]) == 1, "delete() does not count what was there")
    left = await store.search(NAME, Search(embedding=UP, mode="vector"))
    expect(_places(left) == [("animals", 0)], "what was deleted is still found")
    expect((await store.describe()).get("memory_bytes", 0) > 0, "describe() does not tell memory_bytes")


def _places(result: SearchResult) -> Sequence[tuple[str, int]]:
    return [(hit.document_id, hit.chunk.index) for hit in result.hits]


async def _refused(error: type[LmxError], code: str | None, call: Coroutine[Any, Any, Any]) -> None:
    try:
        await call
    except error as raised:
        expect(code is None or raised.code == code, f"refused with {raised.code}, not {code}")
        return
    raise AssertionError(f"was not refused with {code or error.__name__}")
