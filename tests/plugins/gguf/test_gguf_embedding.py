"""Models that make vectors: what they embed, in which order, and what they refuse."""

import math
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("llama_cpp", reason="the extra gguf is not installed")

from gguf_support import (
    Context,
    info_of,
    prompt_of,
    request_of,
    write_bert,
    write_llama,
)
from lmx_gguf.embedding import GgufEmbedder
from lmx_gguf.loading import load_engine
from lmx_hookspecs import Capability, EmbeddingStepEngine
from lmx_hookspecs.errors import InvalidRequest, Unavailable, UnsupportedParameter


@pytest.mark.parametrize("pooling", [1, 2])
def test_a_model_that_pools_embeds(tmp_path: Path, pooling: int) -> None:
    engine = embedder(write_bert(tmp_path / "bert.gguf", pooling=pooling))
    tokens = [engine.tokenizer.encode(text) for text in ("the cat", "the cats", "zzz qqq")]

    vectors = engine.embed(tokens)

    assert isinstance(engine, EmbeddingStepEngine)
    assert engine.describe().capabilities == {Capability.EMBED, Capability.TOKEN_PROMPTS}
    assert [len(vector) for vector in vectors] == [32, 32, 32]
    assert all(math.isclose(math.hypot(*vector), 1.0, rel_tol=1e-9) for vector in vectors)
    assert dot(vectors[0], vectors[1]) > dot(vectors[0], vectors[2])
    assert all(dot(one, other) > 0.9999 for one, other in zip(vectors, map(alone(engine), tokens), strict=True))
    engine.close()


def test_hundreds_of_inputs_are_embedded_in_their_order(tmp_path: Path) -> None:
    engine = embedder(write_bert(tmp_path / "bert.gguf"))
    tokens = [engine.tokenizer.encode(word * (1 + number % 7)) for number, word in enumerate(["ab", "cd", "ef"] * 70)]

    vectors = engine.embed(tokens)

    assert len(vectors) == 210
    for number in (0, 63, 64, 150, 209):
        assert dot(vectors[number], alone(engine)(tokens[number])) > 0.9999
    engine.close()


def test_a_decoder_that_pools_embeds_whole_batches_too(tmp_path: Path) -> None:
    engine = embedder(write_llama(tmp_path / "decoder.gguf", pooling=3))
    tokens = [prompt_of(length, seed=length) for length in (40, 3000, 1, 8191)]

    vectors = engine.embed(tokens)

    assert all(dot(one, other) > 0.999 for one, other in zip(vectors, map(alone(engine), tokens), strict=True))
    assert dot(vectors[0], vectors[1]) < 0.9
    engine.close()


def test_inputs_that_llama_cpp_would_abort_on_are_refused(tmp_path: Path) -> None:
    engine = embedder(write_bert(tmp_path / "bert.gguf"))

    for tokens in ([], [10_000], [5] * 129):
        with pytest.raises(InvalidRequest):
            engine.embed([tokens])
    with pytest.raises(UnsupportedParameter, match="generates no text"):
        engine.add(1, request_of([5]))
    assert engine.step() == ()
    engine.close()


def test_rerankers_are_left_to_others(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="rank"):
        embedder(write_bert(tmp_path / "ranker.gguf", pooling=4))


def embedder(path: Path) -> GgufEmbedder:
    engine = load_engine(Context(), info_of(path))
    assert isinstance(engine, GgufEmbedder)
    return engine


def alone(engine: GgufEmbedder) -> Any:
    return lambda tokens: engine.embed([tokens])[0]


def dot(left: list[float], right: list[float]) -> float:
    return sum(one * other for one, other in zip(left, right, strict=True))
