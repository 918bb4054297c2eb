"""A client that goes away after the first step of its request: the others are made all the same."""

import asyncio
from typing import Any

import pytest

from http_support import until
from leaving_support import leaves_after
from lmx_hookspecs.errors import Unavailable
from lmx_vectorstores.batches_table import add_batch, cancel_batch
from lmx_vectorstores.files_table import delete_file
from lmx_vectorstores.members_table import delete_member, set_attributes
from lmx_vectorstores.removals_table import remove_collection
from lmx_vectorstores.stores_table import add_members, add_store, change_store, delete_store
from vector_store_support import (
    GUIDE,
    Keeping,
    MemoryRetrieval,
    RetrievingServices,
    filled,
    keeping,
    unused_for,
    uploaded,
)

STORES = "/v1/vector_stores"
DAY_S = 86_400


async def stores_of(kept: Keeping) -> list[str]:
    return [store.id async for store in kept.client.vector_stores.list()]


async def test_changed_attributes_reach_the_store() -> None:
    async with keeping() as kept:
        store_id, (file_id,) = await filled(kept, GUIDE)
        documents = kept.retrieval.store.collections[store_id]
        path = f"{STORES}/{store_id}/files/{file_id}"

        await leaves_after(kept, set_attributes, "POST", path, {"attributes": {"n": 1}})

        await until(lambda: documents[file_id].metadata == {"pages": 1, "n": 1})
        shown = await kept.client.vector_stores.files.retrieve(file_id, vector_store_id=store_id)
        assert shown.attributes == {"n": 1}


@pytest.mark.parametrize("step", [remove_collection, add_store])
async def test_a_new_store_has_its_collection_and_its_files(step: Any) -> None:
    async with keeping() as kept:
        (file_id,) = await uploaded(kept, GUIDE)

        await leaves_after(kept, step, "POST", STORES, {"file_ids": [file_id]})

        await until(lambda: any(kept.retrieval.store.collections.values()))
        (store_id,) = await stores_of(kept)
        assert set(kept.retrieval.store.collections) == {store_id}
        assert set(kept.retrieval.store.collections[store_id]) == {file_id}


async def test_a_store_whose_file_is_deleted_meanwhile_leaves_no_collection() -> None:
    async with keeping() as kept:
        (file_id,) = await uploaded(kept, GUIDE)
        ledger = kept.desk.ledger

        await leaves_after(
            kept,
            remove_collection,
            "POST",
            STORES,
            {"file_ids": [file_id]},
            meanwhile=lambda: ledger.ask(delete_file, file_id),
        )

        await until(lambda: bool(kept.retrieval.store.settings) and not kept.retrieval.store.collections)
        assert await stores_of(kept) == []


async def test_a_file_that_was_taken_out_is_deleted_in_the_store() -> None:
    async with keeping() as kept:
        store_id, (file_id,) = await filled(kept, GUIDE)

        await leaves_after(kept, delete_member, "DELETE", f"{STORES}/{store_id}/files/{file_id}")

        await until(lambda: kept.retrieval.store.collections[store_id] == {})


async def test_a_deleted_store_takes_its_collection_along() -> None:
    async with keeping() as kept:
        store_id, _ = await filled(kept, GUIDE)

        await leaves_after(kept, delete_store, "DELETE", f"{STORES}/{store_id}")

        await until(lambda: store_id not in kept.retrieval.store.collections)


async def test_a_deleted_file_takes_its_bytes_and_documents_along() -> None:
    async with keeping() as kept:
        store_id, (file_id,) = await filled(kept, GUIDE)

        await leaves_after(kept, delete_file, "DELETE", f"/v1/files/{file_id}")

        await until(lambda: kept.retrieval.store.collections[store_id] == {})
        await until(lambda: not kept.desk.blobs.path(file_id).exists())


@pytest.mark.parametrize(("way", "step"), [("files", add_members), ("file_batches", add_batch)])
async def test_added_files_are_taken_in(way: str, step: Any) -> None:
    async with keeping() as kept:
        store = await kept.client.vector_stores.create()
        (file_id,) = await uploaded(kept, GUIDE)
        body = {"file_id": file_id} if way == "files" else {"file_ids": [file_id]}

        await leaves_after(kept, step, "POST", f"{STORES}/{store.id}/{way}", body)

        await until(lambda: set(kept.retrieval.store.collections[store.id]) == {file_id})


async def test_a_cancelled_batch_is_let_go_of() -> None:
    async with keeping(RetrievingServices(retrieval=MemoryRetrieval(gate=asyncio.Event()))) as kept:
        store = await kept.client.vector_stores.create()
        batch = await kept.client.vector_stores.file_batches.create(store.id, file_ids=await uploaded(kept, GUIDE))
        await until(lambda: kept.desk.ingestor.running == 1)

        await leaves_after(kept, cancel_batch, "POST", f"{STORES}/{store.id}/file_batches/{batch.id}/cancel", {})

        await until(lambda: kept.desk.ingestor.running == 0)


async def test_a_store_that_shall_expire_expires() -> None:
    async with keeping() as kept:
        store_id, _ = await filled(kept, GUIDE)
        began = kept.desk.now()
        kept.desk.now = lambda: began + 2 * DAY_S

        await leaves_after(kept, change_store, "POST", f"{STORES}/{store_id}", {"expires_after": unused_for(1)})

        await until(lambda: store_id not in kept.retrieval.store.collections)


async def test_what_fails_while_nobody_waits_is_logged() -> None:
    async with keeping() as kept:
        store_id, (file_id,) = await filled(kept, GUIDE)
        kept.retrieval.store.trouble = Unavailable("the store is starting")

        await leaves_after(
            kept, set_attributes, "POST", f"{STORES}/{store_id}/files/{file_id}", {"attributes": {"n": 1}}
        )

        await until(lambda: bool(kept.server.log.named("unwatched_request_failed")))
