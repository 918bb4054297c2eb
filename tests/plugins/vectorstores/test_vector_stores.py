"""/v1/vector_stores, by OpenAI's own client over a real socket."""

from typing import TYPE_CHECKING, Any

import pytest
from openai import NotFoundError

from http_support import error_of
from vector_store_support import FRUIT, GUIDE, filled, keeping, unused_for, uploaded

if TYPE_CHECKING:
    from collections.abc import Sequence


def static_body(size: int, overlap: int) -> dict[str, Any]:
    static = {"max_chunk_size_tokens": size, "chunk_overlap_tokens": overlap}
    return {"file_ids": ["x"], "chunking_strategy": {"type": "static", "static": static}}


async def test_a_store_takes_files_in_and_finds_what_they_say() -> None:
    async with keeping() as kept:
        store_id, (guide, _) = await filled(kept, metadata={"team": "a"})

        store = await kept.client.vector_stores.retrieve(store_id)
        page = await kept.client.vector_stores.search(store_id, query="which port", max_num_results=1)

        assert (store.name, store.status, store.metadata) == ("docs", "completed", {"team": "a"})
        assert store.file_counts.model_dump() == {
            "in_progress": 0,
            "completed": 2,
            "failed": 0,
            "cancelled": 0,
            "total": 2,
        }
        assert store.usage_bytes == len(GUIDE[1]) + len(FRUIT[1]) + 4 * 4 * 4
        (found,) = page.data
        assert (found.file_id, found.filename) == (guide, "guide.txt")
        assert found.content[0].text == "LMX listens on port 1234."
        assert 0 < found.score <= 1


async def test_the_collection_of_a_store_has_its_id_and_its_files_as_documents() -> None:
    async with keeping() as kept:
        store_id, (guide, fruit) = await filled(kept)

        documents = kept.retrieval.store.collections[store_id]

    assert set(documents) == {guide, fruit}
    assert documents[guide].title == "guide.txt"
    assert {request.priority for request in kept.retrieval.ingests} == {"low"}


async def test_search_takes_several_queries_and_filters_on_attributes() -> None:
    async with keeping() as kept:
        store = await kept.client.vector_stores.create()
        guide, fruit = await uploaded(kept, GUIDE, FRUIT)
        for file_id, year in ((guide, 2024), (fruit, 2025)):
            await kept.client.vector_stores.files.create_and_poll(
                file_id, vector_store_id=store.id, attributes={"year": year, "draft": False}
            )

        search = kept.client.vector_stores.search
        both = await search(store.id, query=["port", "bananas yellow"])
        newer = await search(store.id, query="port bananas", filters={"type": "gt", "key": "year", "value": 2024})

    assert {found.file_id for found in both.data} == {guide, fruit}
    assert [found.file_id for found in newer.data] == [fruit]
    assert newer.data[0].attributes == {"year": 2025, "draft": False}


async def test_ranking_options_reach_the_search() -> None:
    async with keeping() as kept:
        store_id, _ = await filled(kept)
        for ranker in ("none", "auto"):
            await kept.client.vector_stores.search(
                store_id, query="port", max_num_results=7, ranking_options={"ranker": ranker, "score_threshold": 0.5}
            )

        without, with_ = kept.retrieval.queries

    assert (without.rerank, with_.rerank) == (False, None)
    assert {(query.top_k, query.min_score) for query in (without, with_)} == {(7, 0.5)}


async def test_a_store_whose_collection_is_gone_finds_nothing() -> None:
    async with keeping() as kept:
        store_id, _ = await filled(kept)
        await kept.retrieval.store.drop(store_id)

        page = await kept.client.vector_stores.search(store_id, query="port")

    assert page.data == []


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"query": ""}, 400, "query"),
        ({"query": []}, 400, "query"),
        ({"query": ["x", " "]}, 400, "query"),
        ({}, 400, "query"),
        ({"query": "x", "max_num_results": 51}, 400, "max_num_results"),
        ({"query": "x", "max_num_results": 0}, 400, "max_num_results"),
        ({"query": "x", "filters": {"type": "like", "key": "a", "value": 1}}, 400, "filters.type"),
        ({"query": "x", "filters": {"type": "and", "filters": []}}, 400, "filters.filters"),
        ({"query": "x", "ranking_options": {"score_threshold": 2}}, 400, "ranking_options.score_threshold"),
        ({"query": "x", "ranking_options": {"ranker": "best"}}, 400, "ranking_options.ranker"),
        ({"query": "x", "rewrite_query": "yes"}, 400, "rewrite_query"),
        ({"query": "x", "other": 1}, 400, "other"),
    ],
)
async def test_bad_searches_are_refused(body: dict[str, Any], status: int, param: str) -> None:
    async with keeping() as kept:
        store = await kept.client.vector_stores.create()
        answer = await kept.server.ask("POST", f"/v1/vector_stores/{store.id}/search", json=body)

    assert answer.status_code == status
    assert error_of(answer)["param"] == param


async def test_a_client_that_wants_queries_rewritten_is_told_that_they_are_not() -> None:
    async with keeping() as kept:
        store_id, _ = await filled(kept)
        page = await kept.client.vector_stores.search(store_id, query="port", rewrite_query=True)

    assert (page.search_query, len(page.data)) == (["port"], 1)  # type: ignore[attr-defined]  # the class has no words for it
    assert "rewrite_query" in page.warnings[0]  # type: ignore[attr-defined]


async def test_stores_are_listed_changed_and_deleted() -> None:
    async with keeping() as kept:
        stores = kept.client.vector_stores
        ids = [(await stores.create(name=name, expires_after=unused_for(7))).id for name in "abc"]

        first = await stores.list(limit=2)
        everything = [store.id async for store in stores.list(limit=1)]
        before = await stores.list(before=ids[0], limit=1)
        changed = await stores.update(ids[0], name="z", metadata={"k": "v"})
        unlimited = await stores.update(ids[0], expires_after=None)
        emptied = await stores.update(ids[0], metadata=None)
        deleted = await stores.delete(ids[0])

        assert ([store.id for store in first.data], first.has_more) == ([ids[2], ids[1]], True)
        assert everything == ids[::-1]
        assert [store.id for store in before.data] == [ids[1]]
        assert (changed.name, changed.metadata) == ("z", {"k": "v"})
        assert changed.expires_after is not None
        assert changed.expires_after.days == 7
        assert (unlimited.expires_after, unlimited.expires_at, unlimited.metadata) == (None, None, {"k": "v"})
        assert emptied.metadata == {}
        assert (deleted.deleted, deleted.object) == (True, "vector_store.deleted")
        assert ids[0] not in kept.retrieval.store.collections
        for gone in (stores.retrieve, stores.delete):
            with pytest.raises(NotFoundError):
                await gone(ids[0])


async def test_deleting_a_store_keeps_its_files() -> None:
    async with keeping() as kept:
        store_id, ids = await filled(kept)

        await kept.client.vector_stores.delete(store_id)

        assert len((await kept.client.files.list()).data) == len(ids)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"metadata": {"k": 1}}, "metadata"),
        ({"metadata": {"k" * 65: "v"}}, "metadata"),
        ({"metadata": {str(n): "v" for n in range(17)}}, "metadata"),
        ({"expires_after": {"anchor": "created_at", "days": 1}}, "expires_after.anchor"),
        ({"expires_after": {"anchor": "last_active_at", "days": 0}}, "expires_after.days"),
        ({"file_ids": ["x"], "chunking_strategy": {"type": "smart"}}, "chunking_strategy.type"),
        (static_body(99, 10), "chunking_strategy.static.max_chunk_size_tokens"),
        (static_body(4097, 10), "chunking_strategy.static.max_chunk_size_tokens"),
        (static_body(200, 101), "chunking_strategy.static.chunk_overlap_tokens"),
    ],
)
async def test_bad_stores_are_refused(body: dict[str, Any], param: str) -> None:
    async with keeping() as kept:
        answer = await kept.server.ask("POST", "/v1/vector_stores", json=body)

        assert answer.status_code == 400
        assert error_of(answer)["param"] == param
        assert kept.retrieval.store.collections == {}


async def test_unknown_files_and_stores_are_not_found() -> None:
    async with keeping() as kept:
        stores = kept.client.vector_stores
        store = await stores.create()
        (file_id,) = await uploaded(kept, GUIDE)
        asked: Sequence[Any] = (
            stores.create(file_ids=["file-x"]),
            stores.retrieve("vs_x"),
            stores.search("vs_x", query="q"),
            stores.files.create(store.id, file_id="file-x"),
            stores.files.create("vs_x", file_id=file_id),
            stores.files.retrieve(file_id, vector_store_id=store.id),
            stores.files.delete(file_id, vector_store_id=store.id),
            stores.files.update(file_id, vector_store_id=store.id, attributes={}),
            stores.file_batches.create("vs_x", file_ids=[file_id]),
            stores.file_batches.create(store.id, file_ids=["file-x"]),
            stores.file_batches.retrieve("vsfb_x", vector_store_id=store.id),
            stores.file_batches.cancel("vsfb_x", vector_store_id=store.id),
            kept.client.files.retrieve("file-x"),
            kept.client.files.content("file-x"),
        )
        for question in asked:
            with pytest.raises(NotFoundError):
                await question
        for path in ("vs_x/files", f"{store.id}/file_batches/vsfb_x/files"):
            assert (await kept.server.ask("GET", f"/v1/vector_stores/{path}")).status_code == 404
