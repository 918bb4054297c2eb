"""What `min_score` is compared with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx_hookspecs.retrieval import Chunk, CollectionSettings, Document, Search, SearchMode
from lmx_hybrid.store import HybridStore
from lmx_hybrid.word_weights import matched_share, word_weight
from store_support import DIMENSIONS, NAME, SETTINGS, document, opened, vector

pytest.importorskip("tantivy")

COUNTS = st.integers(0, 10**9)


@given(COUNTS, COUNTS, COUNTS)
def test_a_word_weighs_more_the_fewer_have_it(chunks: int, one: int, other: int) -> None:
    few, many = sorted((min(one, chunks), min(other, chunks)))

    assert word_weight(chunks, few) >= word_weight(chunks, many) > 0
    assert word_weight(chunks, chunks + 5) == word_weight(chunks, chunks), "deleted ones may still be counted"


def test_a_share_is_from_0_to_1() -> None:
    assert matched_share(0.0, 3.0) == 0.0
    assert matched_share(1.5, 3.0) == 0.5
    assert matched_share(3.0000001, 3.0) == 1.0
    assert matched_share(0.0, 0.0) == 0.0


async def relevances(store: HybridStore, text: str, mode: SearchMode, **more: Any) -> Mapping[str, float]:
    search = Search(text=text, embedding=vector(0, 1), mode=mode, **more)
    return {hit.document_id: hit.relevance for hit in (await store.search(NAME, search)).hits}


@pytest.mark.parametrize("mode", ["keyword", "hybrid"])
async def test_what_shares_only_a_frequent_word_with_a_query_is_not_relevant(tmp_path: Path, mode: SearchMode) -> None:
    async with opened(tmp_path) as store:
        texts = {"plumber": "The invoice of the plumber is due in May.", "whale": "The whale sings in the ocean."}
        await store.ingest(NAME, SETTINGS, [unlike(name, text) for name, text in texts.items()])

        found = await relevances(store, "the best pizza recipe", mode)
        assert found.keys() == texts.keys()
        assert all(0 < relevance < 0.1 for relevance in found.values())
        assert await relevances(store, "the best pizza recipe", mode, min_score=0.1) == {}
        assert await relevances(store, "the invoice of the plumber", mode, min_score=0.9) == {
            "plumber": pytest.approx(1.0)
        }


def unlike(name: str, text: str) -> Document:
    """With a vector at a right angle to that of the query."""
    return Document(id=name, chunks=[Chunk(index=0, text=text, embedding=vector(1))])


async def test_relevance_is_the_weight_of_the_words_that_a_chunk_has(tmp_path: Path) -> None:
    texts = {"both": "kiwi plum", "often": "kiwi " * 9, "one": "plum and apples", "none": "pears"}
    async with opened(tmp_path) as store:
        await store.ingest(NAME, SETTINGS, [document(name, text) for name, text in texts.items()])

        search = Search(text="Plums, kiwis!", mode="keyword")
        hits = (await store.search(NAME, search)).hits
        assert {hit.document_id: hit.relevance for hit in hits} == {
            "both": pytest.approx(1.0),
            "often": pytest.approx(0.5),
            "one": pytest.approx(0.5),
        }
        assert [hit.score for hit in hits] == [hit.legs["keyword"] for hit in hits], "scores stay as BM25 has them"
        assert len({hit.score for hit in hits}) == 3


async def test_a_word_of_several_languages_counts_once(tmp_path: Path) -> None:
    settings = CollectionSettings(embedding_model="m", dimensions=DIMENSIONS, languages=["en", "de", "fr"])
    async with opened(tmp_path) as store:
        await store.ingest(NAME, settings, [document("a", "running water"), document("b", "apples")])

        assert await relevances(store, "running", "keyword") == {"a": pytest.approx(1.0)}
        assert (await relevances(store, "running bananas", "keyword"))["a"] < 0.5


async def test_min_score_leaves_out_and_does_not_end_a_search_early(tmp_path: Path) -> None:
    """What is left out makes room for what comes later in the ranking, and is relevant."""
    async with opened(tmp_path) as store:
        short = [document(f"d{number}", "kiwi") for number in range(20)]
        await store.ingest(NAME, SETTINGS, [*short, document("long", "kiwi plum " + "pear " * 300)])

        found = await relevances(store, "kiwi plum", "hybrid", min_score=0.9, top_k=1)
        assert list(found) == ["long"]
