"""In which process a document is read, and for how long."""

import asyncio
from pathlib import Path

import pytest

from lmx.retrieval import reading
from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.ingestion import SourceDocument
from lmx_hookspecs.queries import ContextRequest, RetrieveRequest
from retrieval_support import file, ingested, retrieving, texts
from worker_support import until

pytest.importorskip("tokenizers")


async def test_a_short_text_waits_for_no_large_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short_file = file(tmp_path, "short.plain", "a sea")
    async with retrieving(tmp_path, monkeypatch) as kernel:
        slow = asyncio.create_task(ingested(kernel, file(tmp_path, "x.bad", "hang")))
        await until(lambda: kernel.retrieval.reading.documents.describe()["busy"])

        async with asyncio.timeout(20):
            report = await ingested(kernel, SourceDocument(id="d", text="a sea"), short_file)
            asked = RetrieveRequest(query="sea", collections=["c"])
            await kernel.retrieval.assemble(ContextRequest(retrieve=asked, max_tokens=50))

        assert [one.chunks for one in report.documents] == [1, 1]
        assert not slow.done()
        slow.cancel()


async def test_a_short_text_waits_for_no_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with retrieving(tmp_path, monkeypatch) as kernel, kernel.retrieval.reading.contexts._one_at_a_time:
        async with asyncio.timeout(20):
            await ingested(kernel, SourceDocument(id="d", text="a sea"))
        asked = RetrieveRequest(query="sea", collections=["c"])
        context = asyncio.create_task(kernel.retrieval.assemble(ContextRequest(retrieve=asked, max_tokens=50)))
        await until(lambda: kernel.retrieval.reading.contexts._pending == 1)

        async with asyncio.timeout(20):
            report = await ingested(kernel, SourceDocument(id="e", text="another sea"))

        assert [one.chunks for one in report.documents] == [1]
        assert not context.done()
        context.cancel()


@pytest.mark.parametrize("large", [False, True])
async def test_large_texts_and_files_that_may_hold_anything_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    document = SourceDocument(id="d", text="sea " * 40_000) if large else file(tmp_path, "x.bad", "raise")
    async with retrieving(tmp_path, monkeypatch) as kernel:
        slow = asyncio.create_task(ingested(kernel, file(tmp_path, "slow.bad", "hang")))
        await until(lambda: kernel.retrieval.reading.documents.describe()["busy"])
        waiting = asyncio.create_task(ingested(kernel, document))
        await until(lambda: kernel.retrieval.reading.documents._pending == 2)

        assert not kernel.retrieval.reading.short.describe()["busy"]
        for task in (waiting, slow):
            task.cancel()


async def test_a_large_document_has_more_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "TIMED_BYTES", 2)
    async with retrieving(tmp_path, monkeypatch, read_timeout_sec=0.25) as kernel:
        with pytest.raises(InvalidRequest, match=r"within 0\.5 s, which rag\.read_timeout_sec allows"):
            await ingested(kernel, file(tmp_path, "x.bad", "hang"))
        await kernel.retrieval.ingest(texts("sea " * 100))
