"""What an ingest makes of what the collection holds already, and of what happens to it in the meantime."""

from pathlib import Path

import pytest

from lmx_hookspecs import EmbeddingRequest, Embeddings
from lmx_hookspecs.errors import Conflict
from lmx_hookspecs.ingestion import SourceDocument
from lmx_hookspecs.retrieval import CollectionSettings
from retrieval_support import ingested, lines, retrieving, texts, watch_embeddings

pytest.importorskip("tokenizers")


async def test_a_document_replaces_the_one_of_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with retrieving(tmp_path, monkeypatch) as kernel:
        await kernel.retrieval.ingest(lines("a\nb\n"))
        await kernel.retrieval.ingest(lines("c\n"))

        assert (await kernel.retrieval.store.collection("c")).chunks == 1


async def test_unchanged_documents_are_left_alone_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with retrieving(tmp_path, monkeypatch) as kernel:
        await kernel.retrieval.ingest(lines("a", "b"))
        seen = watch_embeddings(kernel)

        same = await kernel.retrieval.ingest(lines("a", "b", skip_unchanged=True))
        other = await kernel.retrieval.ingest(lines("a", "c", skip_unchanged=True))
        cut_otherwise = await kernel.retrieval.ingest(texts("a", "c", skip_unchanged=True))

    assert [[one.unchanged for one in report.documents] for report in (same, other, cut_otherwise)] == [
        [True, True],
        [True, False],
        [False, False],
    ]
    assert same.embedding_model == "echo"
    assert [list(request.inputs) for request in seen] == [["c"], ["a", "c"]]


async def test_a_document_whose_metadata_were_replaced_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = SourceDocument(id="d", text="a", metadata={"v": 1})
    async with retrieving(tmp_path, monkeypatch) as kernel:
        await ingested(kernel, first)
        await kernel.retrieval.store.update_metadata("c", "d", {"v": 2})

        report = await ingested(kernel, first, skip_unchanged=True)

        assert not report.documents[0].unchanged
        assert (await kernel.retrieval.store.document("c", "d")).info.metadata == {"v": 1}


async def test_another_model_than_the_collection_s_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with retrieving(tmp_path, monkeypatch) as kernel:
        await kernel.retrieval.ingest(texts("a"))

        with pytest.raises(Conflict, match="holds vectors of 'echo'") as caught:
            await kernel.retrieval.ingest(texts("b", model="echo-process"))

    assert caught.value.code == "embedding_model_mismatch"


@pytest.mark.parametrize("made_anew", [False, True])
async def test_a_collection_that_is_deleted_during_an_ingest_does_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made_anew: bool
) -> None:
    async def embed(request: EmbeddingRequest) -> Embeddings:
        await kernel.retrieval.store.drop("c")
        if made_anew:
            await kernel.retrieval.store.create("c", CollectionSettings(embedding_model="echo", dimensions=8))
        return await kernel.embed(request)

    async with retrieving(tmp_path, monkeypatch) as kernel:
        await kernel.retrieval.ingest(texts("first"))
        kernel.retrieval.embed = embed

        with pytest.raises(Conflict, match="none of them was stored") as caught:
            await kernel.retrieval.ingest(texts("second"))

        left = [(info.name, info.documents) for info in await kernel.retrieval.store.collections()]
    assert caught.value.code == "collection_changed"
    assert left == ([("c", 0)] if made_anew else [])
