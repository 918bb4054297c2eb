import pytest

from lmx.workers import EngineState
from lmx_hookspecs.errors import ConfigError, EngineFailed, InvalidRequest, Unavailable
from worker_support import chat, not_started, pieces_of, running, text_of


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
    with pytest.raises(Unavailable, match="stopped"):
        await pieces_of(started, chat())
