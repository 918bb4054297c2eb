"""What becomes of documents: read, cut, embedded in batches, and stored, all or none."""

from itertools import pairwise
from pathlib import Path

import pytest

from lmx.kernel import Kernel
from lmx.retrieval import ingesting
from lmx_hookspecs.errors import InvalidRequest, NotFound, Unavailable
from lmx_hookspecs.ingestion import Chunking, IngestRequest, SourceDocument
from lmx_hookspecs.retrieval import Chunk
from retrieval_support import file, ingested, lines, retrieving, texts, watch_embeddings

pytest.importorskip("tokenizers")


async def test_texts_are_cut_embedded_and_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with retrieving(tmp_path, monkeypatch) as kernel:
        report = await kernel.retrieval.ingest(lines("one sea\ntwo seas\n", "three"))

        stored = await kernel.retrieval.store.document("c", "d0")
        info = await kernel.retrieval.store.collection("c")

    assert [(one.id, one.chunks) for one in report.documents] == [("d0", 2), ("d1", 1)]
    assert (report.embedding_model, report.dimensions) == ("echo", info.dimensions)
    assert [(chunk.index, chunk.text, chunk.start, chunk.end) for chunk in stored.chunks] == [
        (0, "one sea\n", 0, 8),
        (1, "two seas\n", 8, 17),
    ]
    assert all(chunk.tokens for chunk in stored.chunks)
    assert info.embedding_model == "echo"
    assert "tokens were counted by lmx-tiny-embed" in report.warnings[0]


async def test_files_are_read_by_their_suffix_or_media_type_and_cut_as_their_reader_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = SourceDocument(id="t", path=file(tmp_path, "t", "x\n").path, media_type="text/plain")
    async with retrieving(tmp_path, monkeypatch) as kernel:
        report = await ingested(kernel, file(tmp_path, "a.txt", "Title\nbody\n"), typed)

        stored = await kernel.retrieval.store.document("c", "a.txt")

    assert [one.chunks for one in report.documents] == [2, 1], "the strategy `auto` is the reader's: lines"
    assert stored.info.title == "Title"
    assert stored.info.metadata == {"read": "yes"}


async def test_documents_without_an_id_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with retrieving(tmp_path, monkeypatch) as kernel:
        report = await ingested(kernel, SourceDocument(text="a"), SourceDocument(text="b"))

        page = await kernel.retrieval.store.documents("c")

    assert sorted(one.id for one in report.documents) == [info.id for info in page.documents]


@pytest.mark.parametrize("batch", [1, 2, 64])
async def test_chunks_are_embedded_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    async with retrieving(tmp_path, monkeypatch, embedding_batch_size=batch) as kernel:
        seen = watch_embeddings(kernel)

        await kernel.retrieval.ingest(lines("a\nb\nc\n", "d\ne\n", key="k", priority="high"))

    assert [len(request.inputs) for request in seen] == {1: [1] * 5, 2: [2, 2, 1], 64: [5]}[batch]
    assert {(request.key, request.priority, request.surface) for request in seen} == {("k", "high", "rag")}


async def test_cutting_only_stores_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with retrieving(tmp_path, monkeypatch) as kernel:
        report = await kernel.retrieval.ingest(lines("a\nb\n", cut_only=True))

        assert report.documents[0].chunks == 2
        with pytest.raises(NotFound):
            await kernel.retrieval.store.collection("c")


async def test_one_bad_document_keeps_all_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with retrieving(tmp_path, monkeypatch) as kernel:
        with pytest.raises(InvalidRequest, match=r"x\.bad cannot be read as bad: ValueError"):
            await ingested(kernel, SourceDocument(id="good", text="a"), file(tmp_path, "x.bad", "raise"))

        with pytest.raises(NotFound):
            await kernel.retrieval.store.collection("c")


@pytest.mark.parametrize(
    "case",
    [
        ("x.bad", "hang", "unreadable_file", r"within 1 s, which rag\.read_timeout_sec allows"),
        ("x.bad", "die", "unreadable_file", r"x\.bad cannot be read: its reader died"),
        ("x.bad", "swell", "unreadable_file", "MemoryError"),
        ("x.exe", "MZ\0", "unsupported_file", r"known: \.bad, \.plain, \.txt"),
        ("x.txt", "", "empty_content", r"x\.txt holds no text"),
        ("x.txt", "a" * 5000, "file_too_large", r"rag\.max_file_bytes allows 2048"),
        ("x.txt", "a" * 1500, "file_too_large", "too long"),
    ],
)
async def test_what_cannot_be_read_is_named_with_its_reason_and_the_next_one_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: tuple[str, str, str, str]
) -> None:
    name, text, code, told = case
    limits = {"read_timeout_sec": 1, "max_file_bytes": 2048, "max_document_chars": 1000}
    async with retrieving(tmp_path, monkeypatch, **limits) as kernel:
        with pytest.raises(InvalidRequest, match=told) as caught:
            await ingested(kernel, file(tmp_path, name, text))
        report = await ingested(kernel, file(tmp_path, "good.txt", "good"))

    assert caught.value.code == code
    assert report.documents[0].chunks == 1


@pytest.mark.parametrize("text", ["", " \n\t ", "\u200b"])
async def test_content_without_a_token_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    async with retrieving(tmp_path, monkeypatch) as kernel:
        with pytest.raises(InvalidRequest) as caught:
            await kernel.retrieval.ingest(texts("fine", text))

    assert caught.value.code == "empty_content"


async def test_a_text_that_came_without_an_id_is_called_after_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = [SourceDocument(text="fine"), SourceDocument(text=" ")]
    async with retrieving(tmp_path, monkeypatch) as kernel:
        with pytest.raises(InvalidRequest, match=r"^documents\[1\] holds no text"):
            await ingested(kernel, *documents)


async def test_documents_that_are_too_much_together_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingesting, "MOST_CHARS", 2000)
    async with retrieving(tmp_path, monkeypatch, max_document_chars=1000) as kernel:
        with pytest.raises(InvalidRequest, match="together; send them in several") as caught:
            await kernel.retrieval.ingest(texts("a " * 450, "b " * 450, "c " * 450))
        with pytest.raises(NotFound):
            await kernel.retrieval.store.collection("c")

    assert caught.value.code == "file_too_large"


async def test_a_long_text_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with retrieving(tmp_path, monkeypatch, max_document_chars=1000) as kernel:
        with pytest.raises(InvalidRequest, match=r"rag\.max_document_chars allows 1000") as caught:
            await kernel.retrieval.ingest(texts("a" * 1001))

    assert caught.value.code == "file_too_large"


async def test_more_documents_than_the_limit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with retrieving(tmp_path, monkeypatch, max_documents_per_ingest=2) as kernel:
        with pytest.raises(InvalidRequest, match=r"rag\.max_documents_per_ingest allows 2"):
            await kernel.retrieval.ingest(texts("a", "b", "c"))


async def test_the_chunk_size_and_overlap_are_those_of_the_request_else_of_the_section(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = " ".join(f"sea{number}" for number in range(400))
    async with retrieving(
        tmp_path, monkeypatch, default_chunk_size=128, default_chunk_overlap=16, chunking_strategy="text"
    ) as kernel:
        of_section = await _chunks_of(kernel, text, Chunking())
        of_request = await _chunks_of(kernel, text, Chunking(size=64, overlap=0))
        largest = await _chunks_of(kernel, text, Chunking(size=4096, overlap=2048))
        whole = await _chunks_of(kernel, text, Chunking(strategy="none"))

    assert all(120 < chunk.tokens <= 128 for chunk in of_section[:-1]), "a cut may change where a token ends"
    assert all(after.start < before.end for before, after in pairwise(of_section))
    assert all(56 < chunk.tokens <= 64 for chunk in of_request[:-1])
    assert all(after.start == before.end for before, after in pairwise(of_request))
    assert [chunk.text for chunk in whole] == [chunk.text for chunk in largest] == [text]


@pytest.mark.parametrize(
    ("chunking", "param"),
    [
        (Chunking(strategy="magic"), "chunking"),
        (Chunking(size=63), "chunk_size"),
        (Chunking(size=4097), "chunk_size"),
        (Chunking(size=64, overlap=64), "chunk_overlap"),
        (Chunking(overlap=-1), "chunk_overlap"),
    ],
)
async def test_impossible_chunkings_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunking: Chunking, param: str
) -> None:
    async with retrieving(tmp_path, monkeypatch) as kernel:
        with pytest.raises(InvalidRequest) as caught:
            await kernel.retrieval.ingest(texts("a", chunking=chunking))

    assert caught.value.param == param


async def test_ids_that_stand_there_twice_and_no_documents_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = SourceDocument(id="same", text="a")
    async with retrieving(tmp_path, monkeypatch) as kernel:
        with pytest.raises(InvalidRequest, match="'same' stands there twice"):
            await ingested(kernel, same, same)
        with pytest.raises(InvalidRequest, match="no documents"):
            await ingested(kernel)
        with pytest.raises(InvalidRequest, match="collection is empty"):
            await kernel.retrieval.ingest(IngestRequest(collection="", documents=[same]))


async def test_new_collections_are_made_as_the_section_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with retrieving(
        tmp_path, monkeypatch, embedding_model="lmx-tiny-embed", embedding_dimensions=64, languages=["de", "en"]
    ) as kernel:
        report = await kernel.retrieval.ingest(texts("ein Meer"))

        info = await kernel.retrieval.store.collection("c")

    assert (report.embedding_model, report.dimensions) == ("lmx-tiny-embed", 64)
    assert (info.embedding_model, info.dimensions, list(info.languages)) == ("lmx-tiny-embed", 64, ["de", "en"])
    assert report.warnings == [], "the model's own tokenizer has counted"


async def test_without_retrieval_every_call_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "off").mkdir()
    async with retrieving(tmp_path / "off", monkeypatch, enabled=False) as kernel:
        with pytest.raises(Unavailable, match=r"rag\.enabled: true") as off:
            await kernel.retrieval.ingest(texts("a"))
    (tmp_path / "none").mkdir()
    async with retrieving(tmp_path / "none", monkeypatch, store="hybrid") as kernel:
        with pytest.raises(Unavailable, match=r"opta-lmx\[rag\]") as none:
            _ = kernel.retrieval.store

    assert {off.value.code, none.value.code} == {"retrieval_unavailable"}


async def _chunks_of(kernel: Kernel, text: str, chunking: Chunking) -> list[Chunk]:
    await kernel.retrieval.ingest(texts(text, chunking=chunking, model="lmx-tiny-embed"))
    return list((await kernel.retrieval.store.document("c", "d0")).chunks)
