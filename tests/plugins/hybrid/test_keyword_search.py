from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lmx_hookspecs.errors import UnsupportedParameter
from lmx_hookspecs.retrieval import Chunk, CollectionSettings, Document, Search
from lmx_hybrid.store import HybridStore
from store_support import DIMENSIONS, NAME, SETTINGS, document, opened, places, random_vector, vector

pytest.importorskip("tantivy")


async def found(store: HybridStore, text: str, **more: Any) -> Sequence[str]:
    result = await store.search(NAME, Search(text=text, mode="keyword", **more))
    return [hit.document_id for hit in result.hits]


async def test_a_term_is_found_where_two_documents_are_all_and_one_has_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.ingest(NAME, SETTINGS, [document("a", "apples and pears"), document("b", "apples and plums")])

        assert await found(store, "plums") == ["b"]
        assert sorted(await found(store, "apples")) == ["a", "b"]


@pytest.mark.parametrize("query", ["検索", "エンジン", "東京", "京", "東京の検索"])
async def test_a_cjk_term_is_found_in_two_documents(tmp_path: Path, query: str) -> None:
    async with opened(tmp_path) as store:
        await store.ingest(
            NAME, SETTINGS, [document("a", "東京の検索エンジンは速い。"), document("b", "大阪の天気は雨")]
        )

        assert (await found(store, query))[0] == "a"


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("Привет, мир", "мир"),
        ("한국어 검색 엔진", "검색"),
        ("ภาษาไทยไม่มีช่องว่าง", "ไม่มี"),
        ("naïve café", "cafe"),
        ("FULLWIDTH", "fullwidth"),
        ("हिन्दी में खोज", "हिन्दी"),
        ("don't stop", "DON'T"),
        ("C++ & C#", "c"),
    ],
)
async def test_scripts_of_all_kinds_are_found(tmp_path: Path, text: str, query: str) -> None:
    async with opened(tmp_path) as store:
        await store.ingest(NAME, SETTINGS, [document("it", text), document("other", "something else")])

        assert await found(store, query) == ["it"]


async def test_words_are_stemmed_for_the_languages_of_the_collection(tmp_path: Path) -> None:
    texts = [document("en", "foxes were running"), document("de", "die Häuser der Städte")]
    async with opened(tmp_path) as store:
        for name, languages in (("none", []), ("both", ["en", "de"]), ("unknown", ["xx"])):
            settings = CollectionSettings(embedding_model="m", dimensions=DIMENSIONS, languages=languages)
            await store.ingest(name, settings, texts)

        async def hits(collection: str, text: str) -> Sequence[tuple[str, int]]:
            return places(await store.search(collection, Search(text=text, mode="keyword")))

        assert await hits("both", "fox runs") == [("en", 0)]
        assert await hits("both", "Haus Stadt Städten") == [("de", 0)]
        assert await hits("none", "fox") == await hits("unknown", "fox") == []
        assert await hits("unknown", "foxes") == [("en", 0)]


@pytest.mark.parametrize(
    "query", ["", "  ", "!!! ??? ***", "(", '"', "a AND OR NOT (", "body_en:x^2", "\\", "a" * 10_000]
)
async def test_a_query_is_text_and_never_a_language(tmp_path: Path, query: str) -> None:
    async with opened(tmp_path) as store:
        await store.ingest(NAME, SETTINGS, [document("x", "zebra")])

        assert await found(store, query) == []
        assert await found(store, f"{query} zebra") == ["x"]


async def test_documents_without_words_or_chunks_are_stored_and_found_by_vector(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.ingest(NAME, SETTINGS, [document("dots", "... !!!", ""), document("none")])

        assert await found(store, "dots") == []
        result = await store.search(NAME, Search(text="...", embedding=random_vector(0)))
        assert [hit.document_id for hit in result.hits] == ["dots", "dots"]


@pytest.mark.parametrize(("boost", "first"), [(8, "title"), (0, "body")])
async def test_words_of_titles_count_as_much_as_title_boost_says(tmp_path: Path, boost: int, first: str) -> None:
    plain = [Chunk(index=0, text="nothing of the kind", embedding=vector(1))]
    documents = [Document(id="title", title="kiwi", chunks=plain), document("body", "kiwi kiwi"), document("c", "plum")]
    async with opened(tmp_path, title_boost=boost) as store:
        await store.ingest(NAME, SETTINGS, documents)

        assert (await found(store, "kiwi"))[0] == first
        assert len(await found(store, "kiwi")) == (2 if boost else 1)


async def test_headers_of_chunks_are_searched_as_titles_are(tmp_path: Path) -> None:
    chunk = Chunk(index=0, text="text", title="Guide > Installation", embedding=vector(1))
    async with opened(tmp_path) as store:
        await store.ingest(NAME, SETTINGS, [Document(id="d", chunks=[chunk])])

        assert await found(store, "installing") == ["d"]


@pytest.mark.parametrize("mode", ["keyword", "hybrid"])
async def test_without_a_keyword_index_only_vectors_are_searched(tmp_path: Path, mode: Any) -> None:
    async with opened(tmp_path, keyword_index=False) as store:
        await store.ingest(NAME, SETTINGS, [document("a", "kiwi")])

        with pytest.raises(UnsupportedParameter) as caught:
            await store.search(NAME, Search(text="kiwi", embedding=random_vector(0), mode=mode))
        assert caught.value.param == "search_mode"
        assert len((await store.search(NAME, Search(embedding=random_vector(0), mode="vector"))).hits) == 1
        assert not any(path.name.endswith("-words") for path in tmp_path.rglob("*"))  # noqa: ASYNC240  a test has time
    async with opened(tmp_path) as store:
        assert await found(store, "kiwi") == ["a"]


async def test_what_was_deleted_while_words_were_not_indexed_is_not_found_later(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.ingest(NAME, SETTINGS, [document("a", "kiwi"), document("b", "kiwi")])
        assert len(await found(store, "kiwi")) == 2
    async with opened(tmp_path, keyword_index=False) as store:
        await store.delete(NAME, ["a"])
        await store.search(NAME, Search(embedding=random_vector(0), mode="vector"))
    async with opened(tmp_path) as store:
        assert await found(store, "kiwi") == ["b"]
