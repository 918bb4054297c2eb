"""An engine that embeds must give each input its vector, the same whatever comes with it."""

import asyncio
import math
from collections.abc import Sequence
from typing import Any, cast

from attrs import evolve

from lmx_hookspecs.capabilities import Capability
from lmx_hookspecs.embedding import EmbeddingEngine, EmbeddingRequest, Embeddings, EmbeddingStepEngine
from lmx_hookspecs.engines import BackendSpec, StepEngine, TokenRequest
from lmx_hookspecs.errors import UnsupportedParameter
from lmx_hookspecs.generation import Sampling
from lmx_hookspecs.models import ModelInfo
from lmx_hookspecs.testing.expectation import expect
from lmx_hookspecs.testing.fakes import FakeContext

TEXTS = ("Hello", "A sentence about something else that has more words in it", "Hello")
LEAST_COSINE = 0.99
"""Between the vectors of one input in two batches: arithmetic in 16 bits and padding leave that much."""
STEP_LIMIT = 10_000
ROW = 1
PATIENCE_S = 60.0

Vectors = Sequence[Sequence[float]]


def check_embedding_step_engine(engine: StepEngine) -> None:
    """Embed with a loaded token-level engine, by itself and between the steps of a row; the caller closes it."""
    description = engine.describe()
    expect(Capability.EMBED in description.capabilities, "the engine does not say that it embeds")
    expect(isinstance(engine, EmbeddingStepEngine), "the engine says that it embeds, and has no method `embed`")
    embed = cast("EmbeddingStepEngine", engine).embed
    inputs = [engine.tokenizer.encode(text) for text in TEXTS]
    together = embed(inputs)
    _check_vectors(together, len(inputs))
    for tokens, vector in zip(inputs, together, strict=True):
        (alone,) = embed([tokens])
        _check_alike(vector, alone, "an input has another vector when it comes with others")
    length = description.details.get("dimensions", len(together[0]))
    expect(length == len(together[0]), f"details say {length} dimensions, the vectors have {len(together[0])}")
    expect(description.details.get("matryoshka") in (None, True, False), "details['matryoshka'] is no boolean")
    if description.capabilities & {Capability.CHAT, Capability.COMPLETION}:
        _check_between_steps(engine, inputs[1])


def check_embedding_engine(spec: BackendSpec, model: ModelInfo, config: Any = None) -> None:
    """Load a text-level backend and embed with it: several inputs, one, fewer dimensions, and one that is cancelled."""
    expect(spec.level == "text", f"{spec.name} is a {spec.level}-level backend")
    asyncio.run(asyncio.wait_for(_check_embedding_engine(spec, model, config), PATIENCE_S))


async def _check_embedding_engine(spec: BackendSpec, model: ModelInfo, config: Any) -> None:
    engine = spec.load(FakeContext(config=config), model)
    try:
        expect(Capability.EMBED in engine.describe().capabilities, "the engine does not say that it embeds")
        expect(isinstance(engine, EmbeddingEngine), "the engine says that it embeds, and has no method `embed`")
        asked = EmbeddingRequest(model=model.id, inputs=TEXTS)
        together = await engine.embed(asked)
        _check_embeddings(asked, together)
        alone = await engine.embed(evolve(asked, inputs=TEXTS[1:2]))
        _check_alike(together.vectors[1], alone.vectors[0], "an input has another vector when it comes with others")
        await _check_dimensions(engine, asked, len(together.vectors[0]))
        await _cancel(engine, asked)
        _check_embeddings(asked, await engine.embed(asked))
    finally:
        await engine.close()


async def _check_dimensions(engine: EmbeddingEngine, asked: EmbeddingRequest, length: int) -> None:
    """Honoured or refused, never ignored."""
    fewer = max(1, length // 2)
    try:
        short = await engine.embed(evolve(asked, dimensions=fewer))
    except UnsupportedParameter as error:
        expect(error.param == "dimensions", f"dimensions are refused in the name of {error.param!r}")
        return
    got = {len(vector) for vector in short.vectors}
    expect(got == {fewer}, f"{fewer} dimensions were asked for, and vectors of {got} came")


async def _cancel(engine: EmbeddingEngine, asked: EmbeddingRequest) -> None:
    task = asyncio.ensure_future(engine.embed(asked))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])


def _check_between_steps(engine: StepEngine, tokens: Sequence[int]) -> None:
    request = TokenRequest(tokens=tokens, max_tokens=4, sampling=Sampling(temperature=0))
    undisturbed = _run(engine, request, ())
    disturbed = _run(engine, request, tokens)
    expect(undisturbed == disturbed, f"a row gives {undisturbed}, and {disturbed} where an input is embedded meanwhile")


def _run(engine: StepEngine, request: TokenRequest, meanwhile: Sequence[int]) -> list[int]:
    """The tokens of a row; `meanwhile` is embedded after each step."""
    engine.add(ROW, request)
    tokens: list[int] = []
    for _ in range(STEP_LIMIT):
        pieces = engine.step()
        tokens += [piece.token for piece in pieces if piece.token is not None]
        if any(piece.finish_reason for piece in pieces):
            return tokens
        if meanwhile and isinstance(engine, EmbeddingStepEngine):
            engine.embed([meanwhile])
    raise AssertionError(f"the row had not finished after {STEP_LIMIT} steps")


def _check_embeddings(asked: EmbeddingRequest, made: Embeddings) -> None:
    _check_vectors(made.vectors, len(asked.inputs))
    expect(made.prompt_tokens is None or made.prompt_tokens > 0, f"{made.prompt_tokens} prompt tokens are counted")


def _check_vectors(vectors: Vectors, count: int) -> None:
    expect(len(vectors) == count, f"{len(vectors)} vectors for {count} inputs")
    lengths = {len(vector) for vector in vectors}
    expect(len(lengths) == 1 and 0 not in lengths, f"vectors of the lengths {sorted(lengths)}")
    expect(all(math.isfinite(value) for vector in vectors for value in vector), "a vector is not of finite numbers")
    _check_alike(vectors[0], vectors[2], "one input has two vectors")
    expect(_cosine(vectors[0], vectors[1]) < 1 - 1e-6, "inputs that differ have the same vector")


def _check_alike(one: Sequence[float], other: Sequence[float], complaint: str) -> None:
    expect(_cosine(one, other) >= LEAST_COSINE, complaint)


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    norms = math.sqrt(math.fsum(a * a for a in one) * math.fsum(b * b for b in other))
    expect(norms > 0, "a vector is zero")
    return math.fsum(float(a) * float(b) for a, b in zip(one, other, strict=True)) / norms
