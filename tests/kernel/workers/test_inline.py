import asyncio
from collections.abc import AsyncIterator

import pytest
from attrs import evolve, field, frozen

from lmx.workers import EngineState
from lmx_hookspecs import EngineDescription, GenerationRequest, Piece
from lmx_hookspecs.errors import ConfigError, EngineFailed, InvalidRequest, Unavailable
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
