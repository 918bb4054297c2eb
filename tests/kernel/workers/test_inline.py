import asyncio
from collections.abc import AsyncIterator

import pytest
from attrs import evolve, field, frozen

from lmx.config.schema import Workers
from lmx.workers import EngineState, engine_handle
from lmx_hookspecs import (
    BackendSpec,
    EmbeddingRequest,
    Embeddings,
    EngineDescription,
    GenerationRequest,
    LmxError,
    ModelInfo,
    Piece,
    Reranking,
    RerankRequest,
)
from lmx_hookspecs.errors import ConfigError, EngineFailed, InvalidRequest, Unavailable, UnsupportedParameter
from lmx_hookspecs.testing import FakeContext
from worker_support import backend, chat, completion, not_started, pieces_of, running, text_of, until


async def test_an_inline_engine_answers_on_the_kernels_loop() -> None:
    async with running("echo") as started:
        pieces = await pieces_of(started, chat("one two"))
        described = started.engine.describe()

    assert [piece.text for piece in pieces] == ["one", " two", ""]
    assert (described["isolation"], described["running"]) == ("inline", 0)


async def test_closing_the_iterator_frees_an_inline_engine() -> None:
    async with running("echo", tokens_per_second=1) as started:
        pieces = started.engine.generate(chat())
        await anext(pieces)
        assert started.engine.describe()["running"] == 1

        await pieces.aclose()

        assert started.engine.describe()["running"] == 0


async def test_a_bug_of_an_inline_engine_fails_the_request_and_is_logged() -> None:
    async with running("echo", fail_after=1) as started:
        with pytest.raises(EngineFailed, match="RuntimeError: the echo was told to fail"):
            await pieces_of(started, chat("one two"))

        assert await text_of(started, chat("one")) == "one"
        assert "Traceback" in started.log.named("engine_failed")[0]["traceback"]


async def test_a_refusal_of_an_inline_engine_is_passed_on() -> None:
    async with running("echo", context_length=5) as started:
        with pytest.raises(InvalidRequest) as caught:
            await pieces_of(started, chat(max_tokens=6))

    assert caught.value.param == "max_tokens"


async def test_an_inline_echo_refuses_to_take_the_kernel_down() -> None:
    started = not_started("echo", crash_after=1)

    with pytest.raises(ConfigError, match="echo-process"):
        await started.engine.start()


async def test_a_stopped_inline_engine_is_unavailable() -> None:
    async with running("echo") as started:
        pass

    assert started.engine.state is EngineState.STOPPED
    with pytest.raises(Unavailable, match="stopped") as caught:
        await pieces_of(started, chat())
    assert (caught.value.code, caught.value.retry_after_s) == ("model_draining", 5)


@frozen
class Careful:
    """A TextEngine that must not be closed under a request, and never ends one."""

    events: list[str] = field(factory=list)

    async def generate(self, request: GenerationRequest) -> AsyncIterator[Piece]:
        if request.messages is None:
            raise asyncio.CancelledError
        self.events.append("request began")
        try:
            yield Piece(text="a", tokens=1)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            self.events.append("request ended")

    def describe(self) -> EngineDescription:
        return EngineDescription(context_length=8, capabilities=frozenset(), memory_bytes=0)

    async def close(self) -> None:
        self.events.append("engine closed")


async def test_stopping_fails_what_still_runs_and_then_closes_the_engine() -> None:
    engine = Careful()
    started = not_started(spec=evolve(backend("echo"), load=lambda _ctx, _model: engine))
    await started.engine.start()
    pieces = started.engine.generate(chat())
    await anext(pieces)
    held = asyncio.create_task(pieces_of(started, chat(stream=False)))
    await until(lambda: len(engine.events) == 2)
    unborn = asyncio.create_task(pieces_of(started, chat()))
    await asyncio.sleep(0)
    assert started.engine.describe()["running"] == 3

    await started.engine.stop(5)

    for answer in (anext(pieces), held, unborn):
        with pytest.raises(Unavailable, match="stopped") as caught:
            await answer
        assert caught.value.code == "model_draining"
    assert engine.events[2:] == ["request ended", "request ended", "engine closed"]
    assert started.engine.describe()["running"] == 0


async def test_an_inline_engine_that_cancels_itself_does_not_keep_the_caller_waiting() -> None:
    async with running(spec=evolve(backend("echo"), load=lambda _ctx, _model: Careful())) as started:
        with pytest.raises(EngineFailed, match="cancelled the request itself"):
            await pieces_of(started, completion("x"))


async def test_an_inline_answer_that_is_not_streamed_comes_in_one_piece() -> None:
    async with running("echo") as started:
        pieces = await pieces_of(started, chat("one two", stream=False))

    assert [(piece.text, piece.tokens, piece.finish_reason) for piece in pieces] == [("one two", 2, "stop")]


@frozen
class Knowing(Careful):
    """It embeds and reranks, if it may."""

    answer: Embeddings | Exception | None = None

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        self.events.append(request.model)
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is None:
            await asyncio.Event().wait()
        return Embeddings(vectors=[[1.0]], prompt_tokens=1)

    async def rerank(self, request: RerankRequest) -> Reranking:
        self.events.append(request.query)
        raise asyncio.CancelledError


EMBEDDING = EmbeddingRequest(model="m", inputs=["a"])


def knowing(answer: Embeddings | Exception | None = None) -> BackendSpec:
    return evolve(backend("echo"), load=lambda _ctx, _model: Knowing(answer=answer))


async def test_an_inline_engine_embeds_all_at_once() -> None:
    async with running(spec=knowing(Embeddings(vectors=[], prompt_tokens=0))) as started:
        answer = await started.engine.embed(EMBEDDING)

    assert answer.vectors == [[1.0]]


async def test_an_engine_that_only_talks_neither_embeds_nor_reranks() -> None:
    async with running(spec=evolve(backend("echo"), load=lambda _ctx, _model: Careful())) as started:
        with pytest.raises(UnsupportedParameter, match="cannot embed; ask another one"):
            await started.engine.embed(EMBEDDING)
        with pytest.raises(UnsupportedParameter, match="cannot rerank; ask another one"):
            await started.engine.rerank(RerankRequest(model="m", query="q", documents=["d"]))
        with pytest.raises(UnsupportedParameter, match="cannot count tokens without answering"):
            await started.engine.count_tokens(chat())


@pytest.mark.parametrize(
    ("answer", "cls", "message"),
    [
        (InvalidRequest("odd"), InvalidRequest, "odd"),
        (RuntimeError("bug"), EngineFailed, "the engine gave up: RuntimeError: bug"),
    ],
)
async def test_what_goes_wrong_in_an_embedding_is_told_as_in_a_generation(
    answer: Exception, cls: type[LmxError], message: str
) -> None:
    async with running(spec=knowing(answer)) as started:
        with pytest.raises(cls) as caught:
            await started.engine.embed(EMBEDDING)

    assert caught.value.message == message


async def test_a_reranking_that_cancels_itself_does_not_keep_the_caller_waiting() -> None:
    async with running(spec=knowing()) as started:
        with pytest.raises(EngineFailed, match="cancelled the request itself"):
            await started.engine.rerank(RerankRequest(model="m", query="q", documents=["d"]))


async def test_stopping_ends_an_embedding_and_so_does_its_caller() -> None:
    started = not_started(spec=knowing())
    await started.engine.start()
    held, left = (asyncio.create_task(started.engine.embed(EMBEDDING)) for _ in range(2))
    await until(lambda: started.engine.describe()["running"] == 2)

    left.cancel()
    await asyncio.wait([left])
    assert started.engine.describe()["running"] == 1
    await started.engine.stop(5)

    with pytest.raises(Unavailable, match="stopped"):
        await held


async def test_an_inline_engine_is_handed_the_plugins_own_context() -> None:
    contexts: list[object] = []
    own = FakeContext(name="echo", parts={"x": 1})
    spec = evolve(backend("echo"), load=lambda ctx, _model: contexts.append(ctx) or Careful())  # type: ignore[func-returns-value]
    engine = engine_handle(
        spec,
        plugin="echo",
        plugin_config={},
        model=ModelInfo(id="m", format="echo"),
        settings=Workers(),
        log=own.log,
        context=own,
    )

    await engine.start()
    await engine.stop()

    assert contexts == [own]
