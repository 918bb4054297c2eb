from collections.abc import Callable, Sequence
from typing import Any

import pytest
from attrs import define

from lmx_hookspecs import ModelInfo, RerankerSpec
from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.testing import check_reranker

MODEL = ModelInfo(id="m", format="overlap")
Scores = Callable[[Sequence[str]], Sequence[float]]


def overlap(documents: Sequence[str]) -> list[float]:
    return [float("cat" in document) for document in documents]


@define(eq=False)
class Overlap:
    scores: Scores = overlap
    batch_size: int = 8
    tokens: int | None = 3
    facts: Any = None
    closed: bool = False

    def rerank(self, query: str, documents: Sequence[str]) -> Sequence[float]:
        assert query
        return self.scores(documents)

    def count_tokens(self, query: str, documents: Sequence[str]) -> int | None:
        assert query
        assert documents
        return self.tokens

    def describe(self) -> dict[str, Any]:
        return self.facts or {}

    def close(self) -> None:
        self.closed = True


def spec_of(reranker: Overlap) -> RerankerSpec:
    return RerankerSpec(name="overlap", formats=frozenset({"overlap"}), load=lambda _, __: reranker)


def test_a_reranker_that_keeps_the_contract_passes_and_is_closed() -> None:
    reranker = Overlap()

    check_reranker(spec_of(reranker), MODEL)

    assert reranker.closed


def test_texts_that_are_too_long_may_be_refused() -> None:
    def scores(documents: Sequence[str]) -> list[float]:
        if max(map(len, documents)) > 1000:
            raise InvalidRequest("too long")
        return overlap(documents)

    check_reranker(spec_of(Overlap(scores)), MODEL)


@pytest.mark.parametrize(
    ("reranker", "reason"),
    [
        (Overlap(lambda documents: overlap(documents)[1:]), "2 scores for 3 documents"),
        (Overlap(lambda documents: [float("nan")] * len(documents)), "not finite"),
        (Overlap(lambda documents: [1.0] * len(documents)), "documents that differ have the same score"),
        (Overlap(lambda documents: [float(place) for place in range(len(documents))]), "one document has the scores"),
        (Overlap(lambda documents: [score + len(documents) for score in overlap(documents)]), "comes with others"),
        (Overlap(tokens=0), "0 tokens are counted"),
        (Overlap(batch_size=0), "batch_size is 0"),
        (Overlap(facts={"device_bytes": "1 GB"}), "device_bytes is '1 GB'"),
    ],
)
def test_each_fault_is_found(reranker: Overlap, reason: str) -> None:
    with pytest.raises(AssertionError, match=reason):
        check_reranker(spec_of(reranker), MODEL)

    assert reranker.closed


def test_a_model_of_another_format_is_not_loaded() -> None:
    with pytest.raises(AssertionError, match="does not open gguf models"):
        check_reranker(spec_of(Overlap()), ModelInfo(id="m", format="gguf"))
