"""Embeddings and rerankings as nodes answer them."""

import sys
from array import array
from base64 import b64decode
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from lmx_hookspecs import EmbeddingRequest, Embeddings, RankedDocument, Reranking, RerankRequest
from lmx_hookspecs.errors import UnsupportedParameter
from lmx_remote.counts import count_of
from lmx_remote.failures import NONSENSE, failed

FLOAT32 = "f"


def embeddings_of(answer: Mapping[str, Any], request: EmbeddingRequest, node: str) -> Embeddings:
    """One vector per input; raises EngineFailed for anything else, UnsupportedParameter for vectors of other length."""
    try:
        entries = sorted(answer["data"], key=lambda entry: int(entry["index"]))
        places = [int(entry["index"]) for entry in entries]
        vectors = [_vector(entry["embedding"]) for entry in entries]
        tokens = _tokens(answer, "prompt_tokens", "total_tokens")
    except NONSENSE as error:
        raise failed(node, "sent embeddings that are not OpenAI's", f"{type(error).__name__}: {error}") from None
    if places != list(range(len(request.inputs))) or len({len(vector) for vector in vectors}) != 1:
        raise failed(node, f"sent {len(vectors)} vectors for {len(request.inputs)} inputs, or of different lengths")
    if request.dimensions is not None and len(vectors[0]) != request.dimensions:
        raise UnsupportedParameter(
            f"node {node!r} sent vectors of {len(vectors[0])} dimensions; leave 'dimensions' out", param="dimensions"
        )
    return Embeddings(vectors=vectors, prompt_tokens=tokens)


def reranking_of(answer: Mapping[str, Any], request: RerankRequest, node: str) -> Reranking:
    """The best first, at most `top_n`; raises EngineFailed for a document that nobody asked about."""
    try:
        scores = {int(entry["index"]): _score(entry) for entry in answer["results"]}
        tokens = _tokens(answer, "total_tokens", "prompt_tokens")
    except NONSENSE as error:
        raise failed(node, "sent a reranking that nobody can read", f"{type(error).__name__}: {error}") from None
    count = len(request.documents)
    strangers = sorted(index for index in scores if not 0 <= index < count)
    if strangers or len(scores) != len(answer["results"]):
        raise failed(node, f"ranked document {strangers[:1] or 'twice'} of {count}")
    wanted = min(count, request.top_n or count)
    if len(scores) < wanted:
        raise failed(node, f"ranked {len(scores)} of {count} documents")
    ranked = sorted(scores.items(), key=lambda scored: -scored[1])
    return Reranking(results=[RankedDocument(*scored) for scored in ranked[:wanted]], total_tokens=tokens)


def _vector(value: Any) -> Sequence[float]:
    vector = _decoded(value) if isinstance(value, str) else array(FLOAT32, value)
    if not vector or not isfinite(sum(vector)):
        raise ValueError("a vector is empty, or holds what is no number")
    return vector


def _decoded(text: str) -> "array[float]":
    vector: array[float] = array(FLOAT32, b64decode(text, validate=True))
    if sys.byteorder == "big":
        vector.byteswap()
    return vector


def _score(entry: Mapping[str, Any]) -> float:
    score = float(entry["relevance_score"] if "relevance_score" in entry else entry["score"])
    if not isfinite(score):
        raise ValueError(f"a score is {score}")
    return score


def _tokens(answer: Mapping[str, Any], *names: str) -> int | None:
    """The first of these counts that there is."""
    usage = answer.get("usage") or {}
    return next((count_of(usage[name]) for name in names if usage.get(name) is not None), None)
