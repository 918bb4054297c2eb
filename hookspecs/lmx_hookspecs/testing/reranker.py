"""A reranker must give each document its score, the same whatever comes with it."""

import math
from collections.abc import Sequence
from typing import Any

from lmx_hookspecs.errors import LmxError
from lmx_hookspecs.models import ModelInfo
from lmx_hookspecs.reranking import BatchingReranker, CountingReranker, DescribedReranker, Reranker, RerankerSpec
from lmx_hookspecs.testing.expectation import expect
from lmx_hookspecs.testing.fakes import FakeContext

QUERY = "where is the cat"
DOCUMENTS = ("the cat sat on the mat", "money in the bank", "the cat sat on the mat")
LONG = "word " * 20_000
TOLERANCE = 0.01
"""Between the scores of one document in two batches: arithmetic in 16 bits and padding leave that much."""


def check_reranker(spec: RerankerSpec, model: ModelInfo, config: Any = None) -> None:
    """Load a reranker and score with it: several documents, one, an empty one, and one that is far too long."""
    expect(model.format in spec.formats, f"{spec.name} does not open {model.format} models")
    reranker = spec.load(FakeContext(config=config), model)
    try:
        together = _scores(reranker, DOCUMENTS)
        expect(_alike(together[0], together[2]), f"one document has the scores {together[0]} and {together[2]}")
        expect(together[0] != together[1], "documents that differ have the same score")
        for document, score in zip(DOCUMENTS, together, strict=True):
            (alone,) = _scores(reranker, [document])
            expect(_alike(alone, score), f"a document has the score {alone}, and {score} where it comes with others")
        _scores(reranker, ["", "a"])
        _check_long(reranker)
        _check_facts(reranker)
    finally:
        reranker.close()


def _scores(reranker: Reranker, documents: Sequence[str]) -> list[float]:
    scores = [float(score) for score in reranker.rerank(QUERY, documents)]
    expect(len(scores) == len(documents), f"{len(scores)} scores for {len(documents)} documents")
    expect(all(map(math.isfinite, scores)), "a score is not finite")
    if isinstance(reranker, CountingReranker):
        tokens = reranker.count_tokens(QUERY, documents)
        expect(tokens is None or tokens > 0, f"{tokens} tokens are counted")
    return scores


def _check_long(reranker: Reranker) -> None:
    """Cut off or refused."""
    try:
        _scores(reranker, [LONG])
    except LmxError:
        return


def _check_facts(reranker: Reranker) -> None:
    if isinstance(reranker, BatchingReranker):
        expect(reranker.batch_size >= 1, f"batch_size is {reranker.batch_size}")
    if isinstance(reranker, DescribedReranker):
        device_bytes = reranker.describe().get("device_bytes", 0)
        expect(isinstance(device_bytes, int) and device_bytes >= 0, f"device_bytes is {device_bytes!r}")


def _alike(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE / 10)
