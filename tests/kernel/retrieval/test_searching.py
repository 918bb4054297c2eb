"""Questions to one and to several collections, and what is made of the hits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from lmx.config.reload import Sources
from lmx.kernel import Kernel
from lmx_hookspecs import EmbeddingRequest, Embeddings
from lmx_hookspecs.errors import Conflict, InvalidRequest, NotFound, TimedOut, Unavailable
from lmx_hookspecs.queries import ContextRequest, RetrieveRequest
from lmx_hookspecs.retrieval import Fusion
from lmx_hookspecs.retrieving import fusion_of
from retrieval_support import ids, lines, retrieving, texts

pytest.importorskip("tokenizers")

APART = (["one"], ["two", "three"])


def question(*collections: str, query: str = "blue sea", **fields: Any) -> RetrieveRequest:
    """A question, by default about the sea."""
    return RetrieveRequest(query=query, collections=collections or ("c",), **fields)


async def test_the_best_chunks_of_all_collections_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with retrieving(tmp_path, monkeypatch) as kernel:
        await kernel.retrieval.ingest(lines("a red roof", "a blue sea", collection="one"))
        await kernel.retrieval.ingest(lines("blue sea", "green grass", collection="two"))

        found = await kernel.retrieval.retrieve(question("one", "two", top_k=2))

    assert [(one.collection, one.hit.document_id) for one in found.found] == [("two", "d0"), ("one", "d1")]
    assert found.totals == {"one": 2, "two": 2}
    assert found.query_tokens == 2, "one embedding for both"
    assert found.found[0].score == found.found[0].hit.score


async def test_collections_of_different_models_are_asked_by_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with retrieving(tmp_path, monkeypatch) as kernel:
        await kernel.retrieval.ingest(lines("a blue sea", collection="one"))
        await kernel.retrieval.ingest(lines("blue sea", collection="two", model="lmx-tiny-embed"))

        found = await kernel.retrieval.retrieve(question("one", "two"))

    assert {one.collection for one in found.found} == {"one", "two"}


async def test_hits_of_different_models_are_merged_by_their_ranks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with retrieving(tmp_path, monkeypatch) as kernel:
        await kernel.retrieval.ingest(lines("a blue sea", "blue", "red roof", collection="one"))
        await kernel.retrieval.ingest(lines("blue sea", "sea", "grass", collection="two", model="lmx-tiny-embed"))
        await kernel.retrieval.ingest(lines("the blue sea", collection="three", model="lmx-tiny-embed"))

        asked = question("one", "two", "three", mode="vector", top_k=6)
        found = (await kernel.retrieval.retrieve(asked)).found
        alone = [(await kernel.retrieval.retrieve(evolve(asked, collections=names))).found for names in APART]

    models = [one.collection == "one" for one in found]
    assert [models[place] != models[place + 1] for place in (0, 2, 4)] == [True] * 3, "one of each model, then again"
    assert [one.score for one in found] == [1 / 61, 1 / 61, 1 / 62, 1 / 62, 1 / 63, 1 / 63]
    for ranking, of_one in zip(alone, (True, False), strict=True):
        merged = [one.hit for one, is_one in zip(found, models, strict=True) if is_one is of_one]
        assert merged == [one.hit for one in ranking[:3]], "the order within a model stays"


async def test_keepers_leave_out_what_their_collections_no_longer_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    async def keeper(collection: str, documents: Sequence[str]) -> set[str] | None:
        asked.append((collection, documents))
        return {"d1"} if collection == "one" else None

    async with retrieving(tmp_path, monkeypatch) as kernel:
        await kernel.retrieval.ingest(texts("blue sea", "a blue sea", collection="one"))
        await kernel.retrieval.ingest(texts("the blue sea", collection="two"))
        kernel.retrieval.add_keeper(keeper)

        everything = await kernel.retrieval.retrieve(question("one", "two"))
        kept = await kernel.retrieval.retrieve(question("one", "two", kept_only=True))

    assert {(one.collection, one.hit.document_id) for one in everything.found} == {
        ("one", "d0"),
        ("one", "d1"),
        ("two", "d0"),
    }
    assert {(one.collection, one.hit.document_id) for one in kept.found} == {("one", "d1"), ("two", "d0")}
    assert asked == [("one", ["d0", "d1"]), ("two", ["d0"])], "once for each collection, and only where it matters"


async def test_a_search_by_words_embeds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def embed(request: EmbeddingRequest) -> Embeddings:
        raise AssertionError(request)

    async with retrieving(tmp_path, monkeypatch) as kernel:
        await kernel.retrieval.ingest(lines("a blue sea", "a red roof"))
        kernel.retrieval.embed = embed

        found = await kernel.retrieval.retrieve(question(mode="keyword", min_score=0.5))

    assert ids(found.found) == ["d0"]


async def test_an_unknown_collection_and_bad_questions_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with retrieving(tmp_path, monkeypatch) as kernel:
        await kernel.retrieval.ingest(lines("a"))

        with pytest.raises(NotFound) as unknown:
            await kernel.retrieval.retrieve(question("c", "other"))
        with pytest.raises(InvalidRequest, match="query is empty"):
            await kernel.retrieval.retrieve(question(query=" "))
        with pytest.raises(InvalidRequest, match="top_k is 0"):
            await kernel.retrieval.retrieve(question(top_k=0))
        with pytest.raises(Conflict, match="leave model out") as other:
            await kernel.retrieval.retrieve(question(model="echo-process"))

    assert (unknown.value.code, other.value.code) == ("collection_not_found", "embedding_model_mismatch")


async def test_the_reranker_orders_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with retrieving(tmp_path, monkeypatch) as kernel:
        await kernel.retrieval.ingest(lines("far away", "blue sea and", "blue sea", "blue"))

        found = await kernel.retrieval.retrieve(
            question(rerank=True, rerank_model="echo", rerank_initial_k=3, rerank_final_k=2)
        )

    assert ids(found.found)[0] == "d2"
    assert len(found.found) == 2
    assert found.reranked_by == "echo"
    assert found.found[0].score >= found.found[1].score


async def test_the_section_says_whether_and_by_what_is_reranked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    async with retrieving(
        tmp_path, monkeypatch, rerank_enabled=True, reranker_model="echo", rerank_initial_k=5, rerank_final_k=2
    ) as kernel:

        async def rerank(request: Any) -> Any:
            asked.append((request.model, len(request.documents), request.top_n))
            return await kernel.rerank(request)

        kernel.retrieval.rerank = rerank
        await kernel.retrieval.ingest(lines(*(f"blue {number}" for number in range(9))))

        by_default = await kernel.retrieval.retrieve(question(top_k=1))
        not_now = await kernel.retrieval.retrieve(question(top_k=1, rerank=False))

    assert asked == [("echo", 5, 2)]
    assert (len(by_default.found), len(not_now.found)) == (2, 1)
    assert not not_now.reranked_by


async def test_a_reranker_that_is_not_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with retrieving(tmp_path, monkeypatch) as kernel:
        await kernel.retrieval.ingest(lines("blue"))

        with pytest.raises((NotFound, Unavailable, InvalidRequest), match="nothing-like-it"):
            await kernel.retrieval.retrieve(question(rerank=True, rerank_model="nothing-like-it"))


async def test_more_kept_than_reranked_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with retrieving(tmp_path, monkeypatch) as kernel:
        with pytest.raises(InvalidRequest) as caught:
            await kernel.retrieval.retrieve(question(rerank=True, rerank_initial_k=2, rerank_final_k=3))

    assert caught.value.param == "rerank_initial_k"


async def test_the_section_says_how_legs_are_fused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with retrieving(
        tmp_path, monkeypatch, fusion="weighted_sum", rrf_k=7, rrf_vector_weight=0.0, rrf_keyword_weight=2.0
    ) as kernel:
        await kernel.retrieval.ingest(lines("blue sea"))

        by_section = await kernel.retrieval.retrieve(question())
        by_request = await kernel.retrieval.retrieve(question(fusion=Fusion(keyword_weight=0.0, vector_weight=0.0)))

        assert fusion_of(kernel.config.section("rag")) == Fusion(
            method="weighted_sum", k=7, vector_weight=0.0, keyword_weight=2.0
        )

    assert by_section.found[0].score == 2.0, "twice the part of the words that are there"
    assert by_request.found[0].score == 0.0


async def test_a_context_is_assembled_within_its_budget_with_its_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with retrieving(tmp_path, monkeypatch) as kernel:
        await kernel.retrieval.ingest(lines("blue sea one\nblue sea two\nred roof\n", "sea one"))

        context = await kernel.retrieval.assemble(ContextRequest(retrieve=question(top_k=4), max_tokens=200))
        small = await kernel.retrieval.assemble(ContextRequest(retrieve=question(top_k=4), max_tokens=12))

    first = context.citations[0]
    assert context.text.startswith("[1] d0\nblue sea one\nblue sea two\n")
    assert (first.number, first.document_id, list(first.chunk_ids)) == (1, "d0", ["d0#0", "d0#1", "d0#2"])
    assert context.duplicates == 1
    assert 0 < small.tokens <= 12
    assert small.skipped


async def test_a_context_that_takes_too_long_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with retrieving(tmp_path, monkeypatch) as kernel:
        await kernel.retrieval.ingest(lines("blue sea"))
        reading = kernel.config.section("rag")
        kernel.retrieval.config = lambda: evolve(reading, read_timeout_sec=1e-6)

        with pytest.raises(TimedOut, match=r"rag\.read_timeout_sec"):
            await kernel.retrieval.assemble(ContextRequest(retrieve=question()))


async def test_keys_that_need_no_restart_are_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with retrieving(tmp_path, monkeypatch) as kernel:
        kernel.sources = _sources(kernel)
        (tmp_path / "config" / "20.yaml").write_text("rag: {max_documents_per_ingest: 1, auto_persist: false}")

        report = await kernel.reload()

        with pytest.raises(InvalidRequest, match="allows 1"):
            await kernel.retrieval.ingest(texts("a", "b"))
    assert list(report.changed) == ["rag.max_documents_per_ingest"]
    assert list(report.needs_restart) == ["rag.auto_persist"]


def _sources(kernel: Kernel) -> Sources:
    records = kernel.registry.records
    return Sources(
        flags={},
        environment={},
        plugin_specs={record.name: record.offers.get("lmx_config", ()) for record in records},
        installed=frozenset(record.name for record in records),
    )
