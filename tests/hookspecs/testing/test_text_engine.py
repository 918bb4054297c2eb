from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from attrs import evolve

from lmx_hookspecs import BackendSpec, Capability, EngineDescription, GenerationRequest, ModelInfo, Piece, Usage
from lmx_hookspecs.testing import check_text_engine

MODEL = ModelInfo(id="m", format="f")
CHAT = frozenset({Capability.CHAT.value})


def backend(**changes: Any) -> BackendSpec:
    spec = BackendSpec(
        name="b", level="text", formats=frozenset({"f"}), capabilities=CHAT, load=lambda _ctx, _model: WordEngine()
    )
    return evolve(spec, **changes)


class WordEngine:
    """Says every word of the last message, and counts words as tokens."""

    def __init__(self, *, capabilities: frozenset[str] = CHAT) -> None:
        self._capabilities = capabilities
        self.closed = False

    async def generate(self, request: GenerationRequest) -> AsyncIterator[Piece]:
        words = str((request.messages or ())[-1].content).split()
        kept = words[: request.max_tokens]
        for word in kept[:-1]:
            yield Piece(text=f"{word} ", tokens=1)
        usage = Usage(prompt_tokens=len(words), completion_tokens=len(kept))
        yield Piece(text=kept[-1], tokens=1, finish_reason="stop", usage=usage)

    def describe(self) -> EngineDescription:
        return EngineDescription(context_length=100, capabilities=self._capabilities, memory_bytes=0)

    async def close(self) -> None:
        self.closed = True


Change = Callable[[Sequence[Piece]], Sequence[Piece]]


class Altered(WordEngine):
    """A WordEngine whose answer is changed on its way out."""

    def __init__(self, change: Change) -> None:
        super().__init__()
        self._change = change

    async def generate(self, request: GenerationRequest) -> AsyncIterator[Piece]:
        for piece in self._change([piece async for piece in super().generate(request)]):
            yield piece


class Unstoppable(WordEngine):
    async def generate(self, request: GenerationRequest) -> AsyncIterator[Piece]:
        async for piece in super().generate(evolve(request, max_tokens=None)):
            yield piece


def last(**changes: Any) -> Change:
    return lambda pieces: [*pieces[:-1], evolve(pieces[-1], **changes)]


def test_a_sound_text_engine_passes_and_is_closed() -> None:
    engine = WordEngine()

    check_text_engine(backend(load=lambda _ctx, _model: engine), MODEL)

    assert engine.closed


def test_usage_may_come_in_a_piece_of_its_own() -> None:
    def apart(pieces: Sequence[Piece]) -> Sequence[Piece]:
        return [*pieces[:-1], evolve(pieces[-1], usage=None), Piece(usage=pieces[-1].usage)]

    check_text_engine(backend(load=lambda _ctx, _model: Altered(apart)), MODEL)


@pytest.mark.parametrize(
    ("engine", "reason"),
    [
        (Altered(lambda _pieces: []), "without a piece"),
        (Altered(last(index=1)), "choice 1 of 1"),
        (Altered(last(finish_reason=None)), "without a finish reason"),
        (Altered(lambda pieces: [Piece(finish_reason="stop"), *pieces]), "goes on after its finish reason"),
        (Altered(last(usage=None)), "carries no usage"),
        (Altered(lambda pieces: [evolve(pieces[0], usage=pieces[-1].usage), *pieces[1:]]), "belongs to the last piece"),
        (Altered(last(usage=Usage(prompt_tokens=0, completion_tokens=5))), "counts 0 prompt tokens"),
        (Altered(last(usage=Usage(prompt_tokens=5, completion_tokens=9))), "counts 9 tokens, pieces 5"),
        (Unstoppable(), "5 tokens with max_tokens=1"),
        (WordEngine(capabilities=CHAT | {"seed"}), "claims .*seed"),
    ],
)
def test_an_unsound_text_engine_is_found_out_and_still_closed(engine: WordEngine, reason: str) -> None:
    spec = backend(load=lambda _ctx, _model: engine)

    with pytest.raises(AssertionError, match=reason):
        check_text_engine(spec, MODEL)

    assert engine.closed


def test_a_token_level_backend_is_not_a_text_engine() -> None:
    with pytest.raises(AssertionError, match="tokens-level"):
        check_text_engine(backend(level="tokens"), MODEL)
