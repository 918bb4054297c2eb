from array import array
from base64 import b64encode
from typing import Any

import pytest

from lmx_hookspecs import EmbeddingRequest, RerankRequest
from lmx_hookspecs.errors import EngineFailed, UnsupportedParameter
from lmx_remote.vectors import embeddings_of, reranking_of

BASE64 = b64encode(array("f", [0.25, -1.0]).tobytes()).decode()
ASKED = EmbeddingRequest(model="m", inputs=["a", "b"])
RANKED = RerankRequest(model="m", query="q", documents=["a", "b", "c"])


def entry(index: Any, embedding: Any) -> dict[str, Any]:
    return {"object": "embedding", "index": index, "embedding": embedding}


def test_vectors_come_in_the_order_of_the_inputs_however_they_are_written() -> None:
    answer = {"data": [entry(1, [1, 2]), entry(0, BASE64)], "usage": {"total_tokens": 7}}

    embeddings = embeddings_of(answer, ASKED, "box")

    assert [list(vector) for vector in embeddings.vectors] == [[0.25, -1.0], [1.0, 2.0]]
    assert embeddings.prompt_tokens == 7


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"data": [entry(0, [1.0])]},
        {"data": [entry(0, [1.0]), entry(0, [1.0])]},
        {"data": [entry(0, [1.0]), entry(2, [1.0])]},
        {"data": [entry(0, [1.0]), entry(1, [1.0, 2.0])]},
        {"data": [entry(0, [1.0]), entry(1, "?")]},
        {"data": [entry(0, [1.0]), entry(1, ["x"])]},
        {"data": [entry(0, [1.0]), entry(1, [float("nan")])]},
        {"data": [entry(0, []), entry(1, [])]},
        {"data": [entry(0, [1.0]), entry(None, [1.0])]},
        {"data": [entry(0, [1.0]), entry(1, [1.0])], "usage": {"prompt_tokens": "x"}},
        {"data": [entry(0, [1.0]), entry(1, [1.0])], "usage": {"prompt_tokens": -1}},
        {"data": [entry(0, [1.0]), entry(1, [1.0])], "usage": {"total_tokens": 1e12}},
        {"data": [entry(0, [1.0]), entry(1, [10**400])]},
        {"data": [entry(0, [1.0]), entry(1, [float("inf")])]},
        {"data": [entry(0, [1.0]), entry(float("inf"), [1.0])]},
    ],
)
def test_anything_but_one_vector_per_input_is_a_failure(answer: Any) -> None:
    with pytest.raises(EngineFailed, match="node 'box'"):
        embeddings_of(answer, ASKED, "box")


def test_vectors_of_another_length_than_asked_for_are_refused() -> None:
    asked = EmbeddingRequest(model="m", inputs=["a"], dimensions=3)

    with pytest.raises(UnsupportedParameter) as caught:
        embeddings_of({"data": [entry(0, [1.0, 2.0])]}, asked, "box")

    assert caught.value.param == "dimensions"


def test_documents_come_best_first_and_no_more_than_asked_for() -> None:
    results = [{"index": 0, "relevance_score": 0.1}, {"index": 2, "score": 0.9}, {"index": 1, "relevance_score": 0.5}]
    asked = RerankRequest(model="m", query="q", documents=["a", "b", "c"], top_n=2)

    ranked = reranking_of({"results": results, "usage": {"total_tokens": 12}}, asked, "box")

    assert [(one.index, one.score) for one in ranked.results] == [(2, 0.9), (1, 0.5)]
    assert ranked.total_tokens == 12


@pytest.mark.parametrize(
    "results",
    [
        None,
        [{"index": 3, "relevance_score": 1}],
        [{"index": -1, "relevance_score": 1}],
        [{"index": 0, "relevance_score": 1}] * 3,
        [{"index": 0, "relevance_score": 1}],
        [{"index": place, "relevance_score": float("inf")} for place in range(3)],
        [{"index": place} for place in range(3)],
        [{"index": "first", "relevance_score": 1}],
        [{"index": float("inf"), "relevance_score": 1}],
        [{"index": place, "relevance_score": 10**400} for place in range(3)],
    ],
)
def test_a_ranking_of_other_documents_is_a_failure(results: Any) -> None:
    with pytest.raises(EngineFailed, match="node 'box'"):
        reranking_of({"results": results}, RANKED, "box")
