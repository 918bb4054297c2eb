"""Files in vector stores, and batches of them: taken in, in the background, whatever comes between."""

import asyncio
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError

from http_support import error_of, until
from lmx_hookspecs.errors import EngineFailed, NotFound, Unavailable
from vector_store_support import MemoryRetrieval, RetrievingServices, keeping, uploaded

GUIDE = ("guide.txt", b"LMX listens on port 1234.\n\nModels are loaded when they are asked for.")
FRUIT = ("fruit.txt", b"Bananas are yellow.")


def held() -> RetrievingServices:
    """Services whose ingests wait until they are let go."""
    return RetrievingServices(retrieval=MemoryRetrieval(gate=asyncio.Event()))


def failing(*troubles: Exception) -> RetrievingServices:
    return RetrievingServices(retrieval=MemoryRetrieval(troubles=list(troubles)))


async def test_a_file_is_uploaded_taken_in_and_read_back() -> None:
    async with keeping() as kept:
        store = await kept.client.vector_stores.create()
        files = kept.client.vector_stores.files

        added = await files.upload_and_poll(vector_store_id=store.id, file=GUIDE, attributes={"year": 2024.5})
        listed = await files.list(store.id)
        content = await files.content(added.id, vector_store_id=store.id)
        changed = await files.update(added.id, vector_store_id=store.id, attributes={"year": 1})
        deleted = await files.delete(added.id, vector_store_id=store.id)

        assert (added.status, added.last_error, added.attributes) == ("completed", None, {"year": 2024.5})
        assert added.chunking_strategy is not None
        assert added.chunking_strategy.model_dump() == {
            "type": "static",
            "static": {"max_chunk_size_tokens": 512, "chunk_overlap_tokens": 64},
        }
        assert [file.id for file in listed.data] == [added.id]
        assert [part.text for part in content.data] == GUIDE[1].decode().split("\n\n")
        assert changed.attributes == {"year": 1}
        assert (deleted.deleted, deleted.object) == (True, "vector_store.file.deleted")
        assert kept.retrieval.store.collections[store.id] == {}
        assert (await kept.client.files.retrieve(added.id)).id == added.id
        with pytest.raises(NotFoundError):
            await files.delete(added.id, vector_store_id=store.id)


async def test_static_chunk_sizes_reach_the_cutting() -> None:
    async with keeping() as kept:
        store = await kept.client.vector_stores.create()
        (file_id,) = await uploaded(kept, GUIDE)

        await kept.client.vector_stores.files.create_and_poll(
            file_id,
            vector_store_id=store.id,
            chunking_strategy={"type": "static", "static": {"max_chunk_size_tokens": 300, "chunk_overlap_tokens": 50}},
        )

    (request,) = kept.retrieval.ingests
    assert (request.chunking.size, request.chunking.overlap) == (300, 50)


@pytest.mark.parametrize(
    ("file", "code"),
    [(("empty.txt", b""), "invalid_file"), (("x.bin", b"\0"), "unsupported_file")],
)
async def test_a_file_that_cannot_be_read_has_failed_and_says_why(file: Any, code: str) -> None:
    async with keeping() as kept:
        store = await kept.client.vector_stores.create()

        added = await kept.client.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=file)
        counts = (await kept.client.vector_stores.retrieve(store.id)).file_counts
        with pytest.raises(BadRequestError, match="failed"):
            await kept.client.vector_stores.files.content(added.id, vector_store_id=store.id)

    assert added.status == "failed"
    assert added.last_error is not None
    assert added.last_error.code == code
    assert added.last_error.message
    assert counts.failed == counts.total == 1


async def test_what_passes_is_tried_again() -> None:
    async with keeping(failing(Unavailable("loading"), EngineFailed("died"))) as kept:
        store = await kept.client.vector_stores.create()

        added = await kept.client.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=GUIDE)

    assert added.status == "completed"
    assert len(kept.retrieval.ingests) == 3


@pytest.mark.parametrize(
    ("troubles", "message"),
    [
        ([Unavailable("loading"), Unavailable("loading")], "loading"),
        ([NotFound("there is no model 'm'")], "there is no model"),
        ([RuntimeError("secret detail")], "internal server error"),
    ],
)
async def test_what_does_not_pass_is_a_server_error(troubles: list[Exception], message: str) -> None:
    async with keeping(failing(*troubles), ingest_attempts=2) as kept:
        store = await kept.client.vector_stores.create()

        added = await kept.client.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=GUIDE)

    assert added.last_error is not None
    assert added.last_error.code == "server_error"
    assert added.last_error.message.startswith(message)


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


async def test_what_was_in_progress_is_taken_up_by_the_next_server() -> None:
    async with keeping(held()) as kept:
        store = await kept.client.vector_stores.create()
        (file_id,) = await uploaded(kept, GUIDE)
        await kept.client.vector_stores.files.create(store.id, file_id=file_id)

    async with keeping() as kept:
        added = await kept.client.vector_stores.files.poll(file_id, vector_store_id=store.id)

    assert added.status == "completed"


async def test_a_file_that_is_being_taken_in_can_be_deleted() -> None:
    services = held()
    async with keeping(services) as kept:
        store = await kept.client.vector_stores.create()
        (file_id,) = await uploaded(kept, GUIDE)
        await kept.client.vector_stores.files.create(store.id, file_id=file_id)
        await until(lambda: len(services.retrieval.ingests) == 1)

        await kept.client.files.delete(file_id)

        assert kept.desk.ingestor.running == 0
        assert (await kept.client.vector_stores.retrieve(store.id)).file_counts.total == 0
        with pytest.raises(NotFoundError):
            await kept.client.vector_stores.files.retrieve(file_id, vector_store_id=store.id)


async def test_deleting_a_file_takes_it_out_of_every_store() -> None:
    async with keeping() as kept:
        (file_id,) = await uploaded(kept, GUIDE)
        stores = [await kept.client.vector_stores.create() for _ in range(2)]
        for store in stores:
            await kept.client.vector_stores.files.create_and_poll(file_id, vector_store_id=store.id)

        await kept.client.files.delete(file_id)

        for store in stores:
            assert (await kept.client.vector_stores.search(store.id, query="port")).data == []
            assert kept.retrieval.store.collections[store.id] == {}


async def test_a_file_that_is_added_again_is_taken_in_again() -> None:
    async with keeping() as kept:
        store = await kept.client.vector_stores.create()
        (file_id,) = await uploaded(kept, GUIDE)
        files = kept.client.vector_stores.files
        await files.create_and_poll(file_id, vector_store_id=store.id, attributes={"n": 1})

        again = await files.create_and_poll(file_id, vector_store_id=store.id, attributes={"n": 2})
        total = (await kept.client.vector_stores.retrieve(store.id)).file_counts.total

        assert (again.status, again.attributes, total) == ("completed", {"n": 2}, 1)
        assert kept.retrieval.store.collections[store.id][file_id].metadata == {"n": 2}


async def test_attributes_that_change_while_a_file_is_taken_in_are_those_it_has() -> None:
    services = held()
    async with keeping(services) as kept:
        store = await kept.client.vector_stores.create()
        (file_id,) = await uploaded(kept, GUIDE)
        files = kept.client.vector_stores.files
        await files.create(store.id, file_id=file_id, attributes={"n": 1})
        await until(lambda: len(services.retrieval.ingests) == 1)
        await files.update(file_id, vector_store_id=store.id, attributes={"n": 2})

        assert services.retrieval.gate is not None
        services.retrieval.gate.set()
        await files.poll(file_id, vector_store_id=store.id)
        await until(lambda: kept.desk.ingestor.running == 0)

        assert kept.retrieval.store.collections[store.id][file_id].metadata == {"n": 2}


async def test_only_the_latest_batches_are_remembered() -> None:
    async with keeping(max_batches=1) as kept:
        store = await kept.client.vector_stores.create()
        ids = await uploaded(kept, GUIDE, FRUIT)
        batches = kept.client.vector_stores.file_batches
        first, second = [await batches.create_and_poll(store.id, file_ids=[file_id]) for file_id in ids]

        assert (await batches.retrieve(second.id, vector_store_id=store.id)).status == "completed"
        with pytest.raises(NotFoundError):
            await batches.retrieve(first.id, vector_store_id=store.id)


async def test_a_deletion_that_the_store_could_not_make_is_made_later() -> None:
    async with keeping() as kept:
        store = await kept.client.vector_stores.create()
        added = await kept.client.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=GUIDE)
        kept.retrieval.store.trouble = Unavailable("the store is starting")

        await kept.client.files.delete(added.id)
        found = await kept.client.vector_stores.search(store.id, query="port")
        kept.retrieval.store.trouble = None
        await kept.desk.sweep()

        assert found.data == []
        assert kept.retrieval.store.collections[store.id] == {}
