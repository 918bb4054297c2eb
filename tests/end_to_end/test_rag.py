"""Retrieval over HTTP with nothing configured and no network: the built-in embedder, the store, the chunkers."""

from collections.abc import Iterator

import httpx
import pytest

from rag_requests import COLLECTIONS, FACTS, URL, answered, asked, ingested, refused, texts
from serving import Server, served

pytest.importorskip("tantivy")
pytest.importorskip("faiss")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("rag"), {}) as started:
        yield started


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as opened:
        yield opened


@pytest.fixture
def collection(client: httpx.Client, request: pytest.FixtureRequest) -> Iterator[str]:
    """The facts, in a collection of the test's own."""
    name = request.node.name[:64].replace("[", "-").replace("]", "")
    ingested(client, name, FACTS, metadata=[{"n": place} for place in range(len(FACTS))])
    yield name
    client.delete(f"{COLLECTIONS}/{name}")


# 49: ingest

LONG = "\n\n".join(f"Paragraph {number} has some words about subject {number}, and no more." for number in range(60))
MARKDOWN = "Words before any header.\n\n# Title\n\nAn introduction.\n\n## One\n\nFirst.\n\n## Two\n\nSecond.\n"
CODE = "".join(f"def function_{number}(x):\n    return x + {number}\n\n\n" for number in range(60))


@pytest.mark.parametrize(
    ("chunking", "text", "least"),
    [("none", "short", 1), ("text", LONG, 5), ("fixed", LONG, 5), ("code", CODE, 5), ("markdown_headers", MARKDOWN, 2)],
)
def test_each_way_of_cutting_makes_chunks_within_the_limit(
    client: httpx.Client, chunking: str, text: str, least: int
) -> None:
    name = f"cut-{chunking}"
    made = ingested(client, name, [text], chunking=chunking, chunk_size=64, chunk_overlap=0, document_ids=["d"])
    stored = answered(client.get(f"{COLLECTIONS}/{name}/documents/d"))

    assert made["chunks_created"] == len(stored["chunks"]) >= least
    assert all(chunk["tokens"] <= 64 for chunk in stored["chunks"])
    assert "".join(chunk["text"] for chunk in stored["chunks"]) == text


@pytest.mark.parametrize("text", ["", "   \n\t", "\u200b"])
def test_a_document_without_content_is_refused_and_leaves_nothing(client: httpx.Client, text: str) -> None:
    answer = client.post(f"{URL}/ingest", json={"collection": "void", "documents": ["good", text]})

    assert refused(answer) == (400, "empty_content")
    assert refused(client.get(f"{COLLECTIONS}/void")) == (404, "collection_not_found")


def test_what_is_said_of_a_document_comes_back(client: httpx.Client, collection: str) -> None:
    facts = {"text": "ä", "number": 1.5, "flag": True, "none": None, "list": [1, "a"], "object": {"a": 1}}
    made = ingested(client, collection, ["A whale is a mammal."], metadata=[facts], titles=["Whales"])

    (best,) = asked(client, collection, "whale mammal", top_k=1)["results"]
    stored = answered(client.get(f"{COLLECTIONS}/{collection}/documents/{made['document_ids'][0]}"))

    assert {name: best["metadata"][name] for name in facts} == facts
    assert (best["title"], best["document_id"], len(best["document_id"])) == ("Whales", made["document_ids"][0], 32)
    assert stored["document"]["metadata"] == {"doc_index": 0, **facts}


def test_vectors_of_another_model_do_not_mix(client: httpx.Client, collection: str) -> None:
    unknown = client.post(f"{URL}/ingest", json={"collection": collection, "documents": ["x"], "model": "no-such"})
    other = client.post(f"{URL}/ingest", json={"collection": collection, "documents": ["x"], "model": "lmx-tiny"})
    query = client.post(f"{URL}/query", json={"collection": collection, "query": "x", "model": "lmx-tiny"})

    assert refused(unknown) == (404, "model_not_found")
    assert refused(other)[0] in {400, 409}
    assert refused(query)[0] in {400, 409}
    assert answered(client.get(f"{COLLECTIONS}/{collection}"))["document_count"] == 4


def test_a_document_of_the_same_id_is_replaced_and_an_unchanged_one_is_left_alone(client: httpx.Client) -> None:
    first = ingested(client, "again", ["Snow is white."], document_ids=["a/b"], skip_unchanged=True)
    same = ingested(client, "again", ["Snow is white."], document_ids=["a/b"], skip_unchanged=True)
    other = ingested(client, "again", ["Coal is black."], document_ids=["a/b"], skip_unchanged=True)

    assert [one["documents_unchanged"] for one in (first, same, other)] == [0, 1, 0]
    assert texts(asked(client, "again", "colour", top_k=5)) == ["Coal is black."]
    assert answered(client.get(f"{COLLECTIONS}/again"))["document_count"] == 1


# 50: query


@pytest.mark.parametrize("mode", ["vector", "keyword", "hybrid"])
def test_every_mode_finds_what_is_meant(client: httpx.Client, collection: str, mode: str) -> None:
    answer = asked(client, collection, "capital of France", search_mode=mode)

    best = answer["results"][0]
    assert best["text"] == FACTS[0]
    assert (answer["total_in_collection"], answer["search_mode"]) == (4, mode)
    assert set(best["legs"]) == ({"vector", "keyword"} if mode == "hybrid" else {mode})
    scores = [result["score"] for result in answer["results"]]
    assert scores == sorted(scores, reverse=True)
    assert best["embedding"] is None


def test_a_collection_that_is_not_there_is_a_404(client: httpx.Client) -> None:
    query = client.post(f"{URL}/query", json={"collection": "nowhere", "query": "x"})
    context = client.post(f"{URL}/context", json={"collections": ["nowhere"], "query": "x"})

    assert (refused(query), refused(context)) == ((404, "collection_not_found"),) * 2


def test_top_k_and_min_score_bound_what_is_found(client: httpx.Client, collection: str) -> None:
    assert len(asked(client, collection, "France", top_k=2)["results"]) == 2
    for mode in ("vector", "keyword", "hybrid"):
        answer = asked(client, collection, "capital of France", min_score=0.6, search_mode=mode)
        assert texts(answer) == [FACTS[0]]
        assert all(result["relevance"] >= 0.6 for result in answer["results"])


def test_embeddings_come_along_where_they_are_wanted(client: httpx.Client, collection: str) -> None:
    (best,) = asked(client, collection, "France", top_k=1, include_embeddings=True)["results"]
    info = answered(client.get(f"{COLLECTIONS}/{collection}"))

    assert len(best["embedding"]) == info["embedding_dimensions"]
    assert all(isinstance(value, float) for value in best["embedding"])


def test_a_term_is_found_in_a_collection_of_two_documents(client: httpx.Client) -> None:
    ingested(client, "two", ["The zebra has stripes.", "The horse has none."])

    assert texts(asked(client, "two", "zebra", search_mode="keyword")) == ["The zebra has stripes."]


@pytest.mark.parametrize("mode", ["vector", "keyword", "hybrid"])
def test_text_without_latin_letters_is_found(client: httpx.Client, collection: str, mode: str) -> None:
    assert texts(asked(client, collection, "日本の首都", search_mode=mode))[0] == FACTS[3]


def test_what_both_legs_find_comes_first_and_weights_change_the_order(client: httpx.Client, collection: str) -> None:
    both = asked(client, collection, "capital of France", search_mode="hybrid")["results"]
    plain, wide = (
        asked(client, collection, "capital of France", search_mode="hybrid", rrf_k=k)["results"][0]["score"]
        for k in (60, 1)
    )
    without = asked(client, collection, "coast", search_mode="hybrid", rrf_vector_weight=0.0)["results"]

    assert set(both[0]["ranks"]) == {"vector", "keyword"}
    assert (plain, wide) == (pytest.approx(2 / 61), pytest.approx(1.0))
    assert without[0]["text"] == FACTS[1]


def test_filters_choose_what_may_be_found(client: httpx.Client, collection: str) -> None:
    wanted = {"type": "gte", "key": "n", "value": 2}
    for mode in ("vector", "keyword", "hybrid"):
        answer = asked(client, collection, "the capital lies", search_mode=mode, filter=wanted)
        assert set(texts(answer)) <= set(FACTS[2:])
    bad = client.post(f"{URL}/query", json={"collection": collection, "query": "x", "filter": {"type": "like"}})

    assert refused(bad) == (400, "invalid_filter")


# 51: context


def test_a_context_stays_within_its_budget_and_names_its_sources(client: httpx.Client) -> None:
    for name, subject in (("birds", "birds"), ("fish", "fish")):
        ingested(client, name, [f"Fact {n} about {subject}: " + f"{subject} live {n} years. " * 30 for n in range(8)])

    body = {"query": "how long do they live", "collections": ["birds", "fish"], "max_context_tokens": 400}
    answer = answered(client.post(f"{URL}/context", json={**body, "min_score": 0}))

    assert 0 < answer["estimated_tokens"] <= 400
    assert len(answer["sources"]) == answer["total_chunks"] > 0
    assert {source["id"] for source in answer["sources"]} == {
        chunk for citation in answer["citations"] for chunk in citation["chunk_ids"]
    }
    assert all(f"[{citation['number']}]" in answer["context"] for citation in answer["citations"])
    both = answered(client.post(f"{URL}/context", json={**body, "min_score": 0, "max_context_tokens": 4096}))
    assert {source["collection"] for source in both["sources"]} == {"birds", "fish"}


# 52: collections and documents


def test_collections_are_listed_and_deleted(client: httpx.Client, collection: str) -> None:
    listed = answered(client.get(COLLECTIONS))
    mine = next(one for one in listed["collections"] if one["name"] == collection)
    assert (mine["document_count"], mine["chunk_count"], mine["embedding_model"]) == (4, 4, "lmx-tiny-embed")
    assert listed["collection_count"] == len(listed["collections"])

    gone = answered(client.delete(f"{COLLECTIONS}/{collection}"))

    assert (gone["success"], gone["documents_deleted"]) == (True, 4)
    assert refused(client.delete(f"{COLLECTIONS}/{collection}")) == (404, "collection_not_found")


def test_documents_are_listed_changed_and_deleted_one_by_one(client: httpx.Client) -> None:
    ingested(client, "shelf", FACTS, document_ids=["a/1", "a/2", "b", "c"])
    place = f"{COLLECTIONS}/shelf/documents"

    page = answered(client.get(place, params={"limit": 3}))
    rest = answered(client.get(place, params={"after": page["next"]}))
    changed = answered(client.patch(f"{place}/a/1", json={"metadata": {"kind": "city"}}))
    found = asked(client, "shelf", "capital", filter={"type": "eq", "key": "kind", "value": "city"})
    deleted = answered(client.delete(f"{place}/a/1"))

    assert ([one["id"] for one in page["documents"]], page["total"]) == (["a/1", "a/2", "b"], 4)
    assert ([one["id"] for one in rest["documents"]], rest["next"]) == (["c"], None)
    assert changed["metadata"] == {"kind": "city"}
    assert texts(found) == [FACTS[0]]
    assert deleted == {"success": True, "collection": "shelf", "document_id": "a/1"}
    assert refused(client.get(f"{place}/a/1")) == (404, "document_not_found")
    assert FACTS[0] not in texts(asked(client, "shelf", "capital of France", top_k=50))


def test_a_copy_of_a_collection_finds_the_same(client: httpx.Client, collection: str) -> None:
    copied = client.get(f"{COLLECTIONS}/{collection}/export")
    name = f"{collection[:50]}-copy"
    made = client.post(f"{COLLECTIONS}/{name}/import", files={"file": ("copy", copied.content)})
    again = client.post(f"{COLLECTIONS}/{name}/import", files={"file": ("copy", copied.content)})
    broken = client.post(f"{COLLECTIONS}/other/import", files={"file": ("copy", copied.content[:2000])})

    assert answered(made, 201)["chunk_count"] == 4
    ids = [
        [result["id"] for result in asked(client, one, "capital", search_mode="hybrid")["results"]]
        for one in (collection, name)
    ]
    assert ids[0] == ids[1]
    assert (refused(again), refused(broken)) == ((409, "collection_exists"), (400, "invalid_snapshot"))


def test_an_empty_collection_is_made_and_answers_with_nothing(client: httpx.Client) -> None:
    made = answered(client.post(COLLECTIONS, json={"name": "empty", "languages": ["en", "de"]}), 201)

    assert (made["document_count"], made["embedding_dimensions"], made["languages"]) == (0, 256, ["en", "de"])
    assert asked(client, "empty", "anything", search_mode="hybrid")["results"] == []


# 54: what Markdown has before its headers


def test_what_stands_before_a_header_is_found(client: httpx.Client) -> None:
    text = "A preamble about axolotls.\n\n# Title\n\nAn introduction about quokkas.\n\n## Part\n\nThe rest.\n"
    ingested(client, "prefaces", [text], chunking="markdown_headers", chunk_size=64, chunk_overlap=0)

    for word in ("axolotls", "quokkas"):
        assert any(word in found for found in texts(asked(client, "prefaces", word, search_mode="keyword")))
