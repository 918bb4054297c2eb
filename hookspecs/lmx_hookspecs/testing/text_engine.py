"""A text-level engine must answer, count, stop and cancel as its protocol says."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

from attrs import evolve

from lmx_hookspecs.engines import BackendSpec, TextEngine
from lmx_hookspecs.generation import GenerationRequest, Message, Piece
from lmx_hookspecs.models import ModelInfo
from lmx_hookspecs.testing.engine import check_description
from lmx_hookspecs.testing.expectation import expect
from lmx_hookspecs.testing.fakes import FakeContext

PATIENCE_S = 10.0


def check_text_engine(spec: BackendSpec, model: ModelInfo, config: Any = None, patience_s: float = PATIENCE_S) -> None:
    """Load a text-level backend, chat with it, cut it short, cancel it, and ask it again, all within `patience_s`."""
    expect(spec.level == "text", f"{spec.name} is a {spec.level}-level backend")
    asyncio.run(asyncio.wait_for(_check_text_engine(spec, model, config), patience_s))


async def _check_text_engine(spec: BackendSpec, model: ModelInfo, config: Any) -> None:
    engine: TextEngine = spec.load(FakeContext(config=config), model)
    try:
        check_description(engine.describe(), spec.capabilities, least_context=0)
        asked = GenerationRequest(model=model.id, messages=[Message(role="user", content="one two three four five")])
        _check_answer(asked, await _collected(engine.generate(asked)))
        short = evolve(asked, max_tokens=1)
        _check_answer(short, await _collected(engine.generate(short)))
        await _cancel_after_first(engine.generate(asked))
        both = await asyncio.gather(_collected(engine.generate(asked)), _collected(engine.generate(asked)))
        for pieces in both:
            _check_answer(asked, pieces)
    finally:
        await engine.close()


async def _collected(pieces: AsyncIterator[Piece]) -> list[Piece]:
    return [piece async for piece in pieces]


async def _cancel_after_first(pieces: AsyncIterator[Piece]) -> None:
    expect(hasattr(pieces, "aclose"), "generate must return an iterator with aclose: closing it cancels")
    async with aclosing(pieces):  # type: ignore[type-var]
        await anext(pieces)


def _check_answer(request: GenerationRequest, pieces: Sequence[Piece]) -> None:
    expect(bool(pieces), "the engine answered without a piece")
    for piece in pieces:
        expect(0 <= piece.index < request.choices, f"piece for choice {piece.index} of {request.choices}")
        expect(piece is pieces[-1] or piece.usage is None, "usage belongs to the last piece of a request")
    for index in range(request.choices):
        reasons = [piece.finish_reason for piece in pieces if piece.index == index and not _only_usage(piece)]
        expect(bool(reasons) and reasons[-1] is not None, f"choice {index} ends without a finish reason")
        expect(not any(reasons[:-1]), f"choice {index} goes on after its finish reason")
    _check_usage(request, pieces)


def _check_usage(request: GenerationRequest, pieces: Sequence[Piece]) -> None:
    usage = pieces[-1].usage
    if usage is None:
        raise AssertionError("the last piece carries no usage")
    expect(usage.prompt_tokens > 0, f"usage counts {usage.prompt_tokens} prompt tokens")
    told = {piece.prompt_tokens for piece in pieces if piece.prompt_tokens}
    expect(told <= {usage.prompt_tokens}, f"pieces tell of {told} prompt tokens, usage of {usage.prompt_tokens}")
    counted = sum(piece.tokens for piece in pieces)
    expect(usage.completion_tokens == counted, f"usage counts {usage.completion_tokens} tokens, pieces {counted}")
    limit = counted if request.max_tokens is None else request.max_tokens * request.choices
    expect(counted <= limit, f"{counted} tokens with max_tokens={request.max_tokens}")


def _only_usage(piece: Piece) -> bool:
    return piece == Piece(index=piece.index, usage=piece.usage)
