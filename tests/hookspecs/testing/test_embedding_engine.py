import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from attrs import evolve, frozen

from lmx_echo import TOKEN_ENGINE, lmx_backends
from lmx_echo.config import EchoConfig
from lmx_echo.step_engine import EchoStepEngine
from lmx_hookspecs import (
    BackendSpec,
    Capability,
    EmbeddingRequest,
    Embeddings,
    EngineDescription,
    ModelInfo,
    Sampling,
    TokenRequest,
)
from lmx_hookspecs.testing import check_embedding_engine, check_embedding_step_engine

Vectors = Sequence[Sequence[float]]
FAULTS: dict[str, tuple[Callable[[Vectors], Vectors], str]] = {
    "one too few": (lambda vectors: vectors[1:], "vectors for 3 inputs"),
    "of two lengths": (lambda vectors: [vectors[0][1:], *vectors[1:]], "vectors of the lengths"),
    "empty": (lambda vectors: [[] for _ in vectors], "vectors of the lengths"),
    "not finite": (lambda vectors: [[math.nan, *vector[1:]] for vector in vectors], "not of finite numbers"),
    "zero": (lambda vectors: [[0.0] * len(vector) for vector in vectors], "a vector is zero"),
    "all alike": (lambda vectors: [[1.0] for _ in vectors], "inputs that differ have the same vector"),
    "out of order": (lambda vectors: vectors[::-1] if len(vectors) == 1 else [*vectors[1:], vectors[0]], "two vectors"),
    "by company": (
        lambda vectors: vectors if len(vectors) > 1 else [[-value for value in vector] for vector in vectors],
        "another vector when it comes with others",
    ),
}


class FaultyStepEngine(EchoStepEngine):
    """The echo, with its vectors or its description spoilt."""

    spoil: Callable[[Vectors], Vectors] = staticmethod(lambda vectors: vectors)
    described: dict[str, Any] = {}  # noqa: RUF012  set by each test on an instance of its own

    def embed(self, inputs: Sequence[Sequence[int]]) -> Vectors:
        return self.spoil(super().embed(inputs))

    def describe(self) -> EngineDescription:
        return evolve(super().describe(), **self.described)


def steps(**facts: Any) -> FaultyStepEngine:
    engine = FaultyStepEngine(EchoConfig(), TOKEN_ENGINE)
    for name, fact in facts.items():
        setattr(engine, name, fact)
    return engine


def test_a_sound_engine_passes() -> None:
    check_embedding_step_engine(steps())


@pytest.mark.parametrize("fault", FAULTS)
def test_vectors_that_are_none_are_told(fault: str) -> None:
    spoil, words = FAULTS[fault]

    with pytest.raises(AssertionError, match=words):
        check_embedding_step_engine(steps(spoil=spoil))


@pytest.mark.parametrize(
    ("described", "words"),
    [
        ({"capabilities": frozenset({Capability.CHAT})}, "does not say that it embeds"),
        ({"details": {"dimensions": 3}}, "details say 3 dimensions"),
        ({"details": {"matryoshka": "yes"}}, "is no boolean"),
    ],
)
def test_a_description_that_does_not_hold_is_told(described: dict[str, Any], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_embedding_step_engine(steps(described=described))


def test_embedding_must_not_disturb_what_runs() -> None:
    engine = steps()
    others = iter([TokenRequest(tokens=[88, 89], max_tokens=4, sampling=Sampling())])

    def disturb(vectors: Vectors) -> Vectors:
        if engine.describe().details["rows"] and (other := next(others, None)):
            engine.add(1, other)
        return vectors

    engine.spoil = disturb

    with pytest.raises(AssertionError, match="embedded meanwhile"):
        check_embedding_step_engine(engine)


@frozen
class Wrapped:
    """The text-level echo, with what it embeds spoilt."""

    engine: Any
    spoil: Callable[[EmbeddingRequest, Embeddings], Embeddings]

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        return self.spoil(request, await self.engine.embed(request))

    def describe(self) -> Any:
        return self.engine.describe()

    async def close(self) -> None:
        await self.engine.close()


def text(spoil: Callable[[EmbeddingRequest, Embeddings], Embeddings] = lambda _, made: made) -> BackendSpec:
    spec = next(spec for spec in lmx_backends() if spec.name == "echo-process")
    return evolve(spec, load=lambda context, model: Wrapped(spec.load(context, model), spoil))


MODEL = ModelInfo(id="m", format="echo-process")


def test_a_sound_text_level_engine_passes() -> None:
    check_embedding_engine(text(), MODEL, EchoConfig())


def longer(request: EmbeddingRequest, made: Embeddings) -> Embeddings:
    return made if request.dimensions is None else evolve(made, vectors=[[*one, 0.0] for one in made.vectors])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (longer, "dimensions were asked for"),
        (lambda _, made: evolve(made, prompt_tokens=0), "0 prompt tokens"),
        (lambda _, made: evolve(made, vectors=made.vectors[:-1]), "vectors for"),
    ],
)
def test_a_text_level_engine_that_does_not_keep_its_word_is_told(spoil: Any, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_embedding_engine(text(spoil), MODEL, EchoConfig())
