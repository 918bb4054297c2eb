"""The store behind its stand-in: in a process, or in the kernel."""

import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest
from structlog.testing import capture_logs

from lmx.log import logger
from lmx.models.ledger import Ledger
from lmx.retrieval.residing import Residing
from lmx.workers import EngineState
from lmx.workers.part_values import PIECE_BYTES
from lmx_hookspecs.errors import Conflict, EngineFailed, InvalidRequest, NotFound, Unavailable
from lmx_hookspecs.retrieval import Chunk, CollectionSettings, Document, Search
from retrieval_support import retrieving, texts
from serving import eventually
from worker_support import until

SETTINGS = CollectionSettings(embedding_model="m", dimensions=2)
ONE = Document(id="a", chunks=[Chunk(index=0, text="a sea", embedding=b"\0\0\0\0\0\0\x80?", metadata={"n": [1, None]})])


@pytest.mark.parametrize("store", ["memory", "inline"])
async def test_values_cross_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str) -> None:
    async with retrieving(tmp_path, monkeypatch, store=store) as kernel:
        stored = kernel.retrieval.store
        await stored.ingest("c", SETTINGS, [ONE])

        info = await stored.collection("c")
        found = await stored.search("c", Search(embedding=ONE.chunks[0].embedding, mode="vector", with_embeddings=True))
        page = await stored.documents("c", limit=5)
        deleted = await stored.delete("c", ["a", "b"])

    assert (info.documents, info.embedding_model, info.vector_index) == (1, "m", "durable True")
    assert found.hits[0].chunk == ONE.chunks[0]
    assert page.documents[0].id == "a"
    assert deleted == 1
    assert (tmp_path / "rag" / "closed").read_text() == "yes", "the store was closed with the kernel"


@pytest.mark.parametrize("store", ["memory", "inline"])
async def test_errors_cross_with_their_class_and_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    async with retrieving(tmp_path, monkeypatch, store=store) as kernel:
        stored = kernel.retrieval.store
        await stored.create("c", SETTINGS)

        with pytest.raises(NotFound) as missing:
            await stored.collection("other")
        with pytest.raises(Conflict) as there:
            await stored.create("c", SETTINGS)
        with pytest.raises(InvalidRequest) as mismatch:
            await stored.ingest("c", CollectionSettings(embedding_model="m", dimensions=3), [_longer()])
        with pytest.raises(EngineFailed, match="ZeroDivisionError: told to break"):
            await stored.search("broken", Search())

    assert [caught.value.code for caught in (missing, there, mismatch)] == [
        "collection_not_found",
        "collection_exists",
        "dimension_mismatch",
    ]


async def test_a_store_process_has_the_environment_of_its_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with retrieving(tmp_path, monkeypatch, store="memory") as kernel:
        facts = await kernel.retrieval.store.describe()

    assert facts["mark"] == "here"
    assert facts["pid"] != os.getpid()
    assert not psutil.pid_exists(facts["pid"])


async def test_what_was_read_when_the_process_died_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with retrieving(tmp_path, monkeypatch, store="memory") as kernel:
        with pytest.raises(NotFound):  # by the second process, which knows nothing
            await kernel.retrieval.store.search("deadly once", Search())

        assert kernel.retrieval.describe()["store"]["deaths"] == 1


async def test_what_was_written_when_the_process_died_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with retrieving(tmp_path, monkeypatch, store="memory") as kernel:
        with pytest.raises(EngineFailed, match="died on this call"):
            await kernel.retrieval.store.ingest("deadly once", SETTINGS, [ONE])

        await kernel.retrieval.store.ingest("deadly once", SETTINGS, [ONE])


async def test_a_store_that_dies_on_every_call_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with retrieving(tmp_path, monkeypatch, store="memory", workers={"quarantine_after": 3}) as kernel:
        stored = kernel.retrieval.store
        with pytest.raises((EngineFailed, Unavailable)):
            await stored.search("deadly", Search())
        with pytest.raises((EngineFailed, Unavailable)):
            await stored.search("deadly", Search())
        await until(lambda: kernel.retrieval.describe()["store"]["state"] is EngineState.QUARANTINED)

        with pytest.raises(Unavailable, match="SIGKILL") as caught:
            await stored.collections()

    assert caught.value.code == "retrieval_unavailable"


async def test_a_store_that_cannot_be_opened_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with retrieving(tmp_path, monkeypatch, store="unable") as kernel:
        with pytest.raises(Unavailable, match="cannot be opened") as caught:
            await kernel.retrieval.store.collections()

    assert caught.value.code == "retrieval_unavailable"


async def test_a_store_whose_loop_stands_still_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with retrieving(tmp_path, monkeypatch, store="memory", workers={"step_timeout_sec": 1}) as kernel:
        with pytest.raises(EngineFailed, match="wedged"):
            await kernel.retrieval.store.ingest("stuck", SETTINGS, [ONE])


async def test_a_call_in_which_a_library_panics_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with retrieving(tmp_path, monkeypatch, store="memory") as kernel, asyncio.timeout(30):
        with pytest.raises(EngineFailed, match="told to panic"):
            await kernel.retrieval.store.search("panicking", Search())

        assert kernel.retrieval.describe()["store"]["deaths"] == 0


async def test_a_large_ingest_and_a_large_answer_travel_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks = [Chunk(index=place, text="x" * 1_000_000, embedding=b"\0" * 8) for place in range(80)]
    async with retrieving(tmp_path, monkeypatch, store="memory") as kernel:
        await kernel.retrieval.store.ingest("c", SETTINGS, [Document(id="big", chunks=chunks)])

        document = await kernel.retrieval.store.document("c", "big")

    assert sum(len(chunk.text) for chunk in document.chunks) == 80_000_000, "more than a frame holds"


async def test_a_large_ingest_waits_for_a_process_that_does_not_keep_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = Document(id="big", chunks=[Chunk(index=0, text="x" * 20_000_000, embedding=b"\0" * 8)])
    async with retrieving(tmp_path, monkeypatch, store="memory", workers={"heartbeat_interval_s": 5}) as kernel:
        pid = (await kernel.retrieval.store.describe())["pid"]
        waiting = kernel.retrieval._part._supervisor.session.worker._frames  # type: ignore[union-attr]
        os.kill(pid, signal.SIGSTOP)
        try:
            sending = asyncio.create_task(kernel.retrieval.store.ingest("c", SETTINGS, [large]))
            await until(waiting.get_write_buffer_size)
            for _ in range(100):
                await asyncio.sleep(0)
            held = waiting.get_write_buffer_size()
        finally:
            os.kill(pid, signal.SIGCONT)
        await sending

    assert held <= 2 * PIECE_BYTES


async def test_documents_that_would_wait_behind_too_many_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmx.workers.part.MOST_CALLS", 3)
    async with retrieving(tmp_path, monkeypatch) as kernel:
        reading = [kernel.retrieval.ingest(texts("sea", collection=f"c{number}")) for number in range(5)]
        results = await asyncio.gather(*reading, return_exceptions=True)

        refused = [one for one in results if isinstance(one, BaseException)]
        assert [getattr(one, "code", one) for one in refused] == ["overloaded", "overloaded"]
        await kernel.retrieval.ingest(texts("sea"))


async def test_a_value_that_cannot_travel_is_the_request_s_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with retrieving(tmp_path, monkeypatch, store="memory") as kernel:
        with pytest.raises(InvalidRequest, match="cannot be sent"):
            await kernel.retrieval.store.hashes("c", ["\ud800"])


async def test_stopping_the_kernel_ends_a_call_of_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with retrieving(tmp_path, monkeypatch, store="memory") as kernel:
        pid = (await kernel.retrieval.store.describe())["pid"]
        os.kill(pid, signal.SIGSTOP)
        waiting = asyncio.create_task(kernel.retrieval.store.search("c", Search()))
        await asyncio.sleep(0)

    with pytest.raises((Unavailable, EngineFailed)):
        await waiting
    eventually(lambda: not psutil.pid_exists(pid), 5)


async def test_the_store_is_a_resident_that_nobody_can_evict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with retrieving(tmp_path, monkeypatch, store="memory") as kernel:
        await kernel.retrieval.store.collections()
        residing = kernel.retrieval._residing
        assert residing is not None
        await residing.look()

        holding = next(one for one in kernel.models.memory().holdings if one.kind == "store")

    assert (holding.name, holding.measured_bytes) == ("memory", 123_000_000)
    assert kernel.models.memory().holdings == []


async def test_a_store_beyond_the_memory_budget_is_told_of_once() -> None:
    class Part:
        state = EngineState.READY

        async def call(self, *_: object) -> object:
            return {"memory_bytes": sizes.pop(0)}

    async def relieve(name: str) -> None:
        asked.append(name)

    sizes, asked = [900, 1100, 1200, 800, 1300], list[str]()
    residing = Residing("s", Part(), Ledger(lambda: 1000), relieve, logger("test"))  # type: ignore[arg-type]
    with capture_logs() as logs:
        for _ in range(5):
            await residing.look()

    assert [log["over_bytes"] for log in logs if log["event"] == "memory_budget_exceeded"] == [100, 300]
    assert asked == ["s"] * 3, "idle models were asked to go each time"


async def test_a_store_with_data_is_opened_with_the_kernel_and_another_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with retrieving(tmp_path, monkeypatch, store="memory") as kernel:
        assert kernel.retrieval.describe()["store"] == {"state": "stopped"}
        await kernel.retrieval.store.create("c", SETTINGS)

    (tmp_path / "again").mkdir()
    async with retrieving(
        tmp_path / "again", monkeypatch, store="memory", persist_path=str(tmp_path / "rag"), auto_persist=False
    ) as kernel:
        await until(lambda: kernel.retrieval.describe()["store"].get("state") == "ready")
        await kernel.retrieval.store.create("c", SETTINGS)

        assert (await kernel.retrieval.store.collection("c")).vector_index == "durable False"


def _longer() -> Document:
    return Document(id="b", chunks=[Chunk(index=0, text="b", embedding=b"\0" * 12)])
