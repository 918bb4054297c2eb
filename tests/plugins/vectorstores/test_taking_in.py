"""Files in vector stores, and batches of them: taken in, in the background, whatever comes between."""

import asyncio
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError

from http_support import until
from lmx_hookspecs.errors import EngineFailed, NotFound, Unavailable
from lmx_vectorstores.members_table import delete_member
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


async def test_what_was_stored_before_it_could_be_stopped_is_deleted() -> None:
    class Storing(MemoryRetrieval):
        """Says only much later what it has stored."""

        async def ingest(self, request: Any) -> Any:
            await super().ingest(request)
            return await asyncio.Event().wait()

    gate = asyncio.Event()
    async with keeping(RetrievingServices(retrieval=Storing(gate=gate))) as kept:
        store = await kept.client.vector_stores.create()
        (file_id,) = await uploaded(kept, GUIDE)
        await kept.client.vector_stores.files.create(store.id, file_id=file_id)
        await until(lambda: len(kept.retrieval.ingests) == 1)
        members = await kept.desk.ledger.ask(delete_member, store.id, file_id)
        await kept.desk.removals.run()
        gate.set()
        await until(lambda: file_id in kept.retrieval.store.collections[store.id])

        await kept.desk.let_go(members)

        assert kept.retrieval.store.collections[store.id] == {}


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
        assert kept.retrieval.store.collections[store.id][file_id].metadata == {"pages": 1, "n": 2}


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

        assert kept.retrieval.store.collections[store.id][file_id].metadata == {"pages": 1, "n": 2}


async def test_changed_attributes_leave_what_the_reader_has_found() -> None:
    async with keeping() as kept:
        store = await kept.client.vector_stores.create()
        files = kept.client.vector_stores.files
        added = await files.upload_and_poll(vector_store_id=store.id, file=GUIDE, attributes={"n": 1, "m": 2})

        await files.update(added.id, vector_store_id=store.id, attributes={"n": 3})

        assert kept.retrieval.store.collections[store.id][added.id].metadata == {"pages": 1, "n": 3}


async def test_each_further_try_waits_twice_as_long() -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async with keeping(failing(*[Unavailable("loading")] * 3), retry_after_s=3.0) as kept:
        kept.desk.ingestor.take_in.__self__.sleep = sleep
        store = await kept.client.vector_stores.create()
        added = await kept.client.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=GUIDE)

    assert added.status == "completed"
    assert pauses == [3.0, 6.0, 12.0]


async def test_what_the_server_lays_down_when_it_stops_is_still_in_progress() -> None:
    services = held()
    async with keeping(services) as kept:
        store = await kept.client.vector_stores.create()
        (file_id,) = await uploaded(kept, GUIDE)
        await kept.client.vector_stores.files.create(store.id, file_id=file_id)
        await until(lambda: len(services.retrieval.ingests) == 1)

        services.events.publish("server_stopping", {})
        await until(lambda: kept.desk.ingestor.running == 0)

        member = await kept.client.vector_stores.files.retrieve(file_id, vector_store_id=store.id)
        assert member.status == "in_progress"


async def test_what_could_not_be_deleted_is_tried_again_by_the_next_sweep() -> None:
    async with keeping(sweep_s=0.01) as kept:
        store = await kept.client.vector_stores.create()
        added = await kept.client.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=GUIDE)
        kept.retrieval.store.trouble = Unavailable("the store is starting")
        await kept.client.files.delete(added.id)
        assert kept.retrieval.store.collections[store.id] != {}

        kept.retrieval.store.trouble = None

        await until(lambda: kept.retrieval.store.collections[store.id] == {})


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
