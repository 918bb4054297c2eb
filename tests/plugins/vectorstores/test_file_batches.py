"""Several files at once, by OpenAI's own client over a real socket."""

import asyncio
import json
from typing import Any

import pytest
from openai import NotFoundError

from http_support import error_of, until
from leaving_support import HeldLedger
from lmx_vectorstores.files_table import owned_file
from vector_store_support import MemoryRetrieval, RetrievingServices, keeping, uploaded

GUIDE = ("guide.txt", b"LMX listens on port 1234.\n\nModels are loaded when they are asked for.")
FRUIT = ("fruit.txt", b"Bananas are yellow.")


def held() -> RetrievingServices:
    """Services whose ingests wait until they are let go."""
    return RetrievingServices(retrieval=MemoryRetrieval(gate=asyncio.Event()))


async def test_a_batch_takes_in_what_it_can() -> None:
    async with keeping() as kept:
        store = await kept.client.vector_stores.create()
        batches = kept.client.vector_stores.file_batches

        batch = await batches.upload_and_poll(store.id, files=[GUIDE, FRUIT, ("empty.txt", b"")])
        listed = await batches.list_files(batch.id, vector_store_id=store.id)
        failed = await batches.list_files(batch.id, vector_store_id=store.id, filter="failed")

    assert batch.id.startswith("vsfb_")
    assert batch.status == "completed"
    assert batch.file_counts.model_dump() == {
        "in_progress": 0,
        "completed": 2,
        "failed": 1,
        "cancelled": 0,
        "total": 3,
    }
    assert len(listed.data) == 3
    assert len(failed.data) == 1


async def test_each_file_of_a_batch_may_have_attributes_of_its_own() -> None:
    async with keeping() as kept:
        store = await kept.client.vector_stores.create()
        guide, fruit = await uploaded(kept, GUIDE, FRUIT)

        batch = await kept.client.vector_stores.file_batches.create_and_poll(
            store.id, files=[{"file_id": guide, "attributes": {"n": 1}}, {"file_id": fruit}]
        )
        files = await kept.client.vector_stores.files.list(store.id)

    assert batch.file_counts.completed == 2
    assert {file.id: file.attributes for file in files.data} == {guide: {"n": 1}, fruit: {}}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "file_ids"),
        ({"file_ids": ["a"], "files": [{"file_id": "a"}]}, "file_ids"),
        ({"file_ids": []}, "file_ids"),
        ({"file_ids": ["a"] * 2001}, "file_ids"),
        ({"files": [{"file_id": "a"}], "attributes": {"k": 1}}, "attributes"),
        ({"file_ids": ["a"], "attributes": {"k": [1]}}, "attributes"),
        ({"file_ids": ["a"], "attributes": {"k": "v" * 513}}, "attributes"),
        ({"files": [{"file_id": "a", "attributes": {"k": None}}]}, "files[0].attributes"),
    ],
)
async def test_bad_batches_are_refused(body: dict[str, Any], param: str) -> None:
    async with keeping() as kept:
        store = await kept.client.vector_stores.create()
        answer = await kept.server.ask("POST", f"/v1/vector_stores/{store.id}/file_batches", json=body)

    assert answer.status_code == 400
    assert error_of(answer)["param"] == param


async def test_a_cancelled_batch_stops_and_keeps_nothing_of_what_it_had_not_finished() -> None:
    async with keeping(held(), ingest_concurrency=1) as kept:
        store = await kept.client.vector_stores.create()
        ids = await uploaded(kept, GUIDE, FRUIT)
        batch = await kept.client.vector_stores.file_batches.create(store.id, file_ids=ids)
        await until(lambda: kept.desk.ingestor.running == 1)

        cancelled = await kept.client.vector_stores.file_batches.cancel(batch.id, vector_store_id=store.id)

        assert cancelled.status == "cancelled"
        assert cancelled.file_counts.cancelled == 2
        assert kept.desk.ingestor.running == 0
        assert kept.retrieval.store.collections[store.id] == {}


async def test_cancelling_what_has_ended_changes_nothing() -> None:
    async with keeping() as kept:
        store = await kept.client.vector_stores.create()
        batch = await kept.client.vector_stores.file_batches.upload_and_poll(store.id, files=[GUIDE])

        cancelled = await kept.client.vector_stores.file_batches.cancel(batch.id, vector_store_id=store.id)

    assert (cancelled.status, cancelled.file_counts.completed) == ("completed", 1)


async def test_no_more_files_are_taken_in_at_once_than_configured() -> None:
    services = held()
    async with keeping(services, ingest_concurrency=2) as kept:
        store = await kept.client.vector_stores.create()
        ids = await uploaded(kept, *((f"{n}.txt", b"text") for n in range(4)))
        await kept.client.vector_stores.file_batches.create(store.id, file_ids=ids)
        await until(lambda: len(services.retrieval.ingests) == 2)
        in_progress = await kept.client.vector_stores.retrieve(store.id)

        assert kept.desk.ingestor.running == 2
        assert (in_progress.status, in_progress.file_counts.in_progress) == ("in_progress", 4)


async def test_only_the_latest_batches_are_remembered() -> None:
    async with keeping(max_batches=1) as kept:
        store = await kept.client.vector_stores.create()
        ids = await uploaded(kept, GUIDE, FRUIT)
        batches = kept.client.vector_stores.file_batches
        first, second = [await batches.create_and_poll(store.id, file_ids=[file_id]) for file_id in ids]

        assert (await batches.retrieve(second.id, vector_store_id=store.id)).status == "completed"
        with pytest.raises(NotFoundError):
            await batches.retrieve(first.id, vector_store_id=store.id)


@pytest.mark.parametrize(
    ("way", "body"), [("files", {"file_id": "{file}"}), ("file_batches", {"file_ids": ["{file}"]})]
)
async def test_a_store_that_is_deleted_while_files_are_on_their_way_is_not_found(way: str, body: Any) -> None:
    async with keeping() as kept:
        (file_id,) = await uploaded(kept, GUIDE)
        store = await kept.client.vector_stores.create()
        kept.desk.ledger = held = HeldLedger(kept.desk.ledger, owned_file)
        sent = json.loads(json.dumps(body).replace("{file}", file_id))

        asked = asyncio.create_task(kept.server.ask("POST", f"/v1/vector_stores/{store.id}/{way}", json=sent))
        await held.answered.wait()
        await kept.client.vector_stores.delete(store.id)
        held.go.set()
        answer = await asked
        kept.desk.ledger = held.ledger

    assert (answer.status_code, error_of(answer)["param"]) == (404, "vector_store_id")
