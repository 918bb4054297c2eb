import asyncio
import os
import signal

import pytest

from lmx.workers import EngineState
from lmx.workers.progress import Progress
from lmx_hookspecs import GenerationRequest
from lmx_hookspecs.errors import EngineFailed, InvalidRequest, TimedOut, Unavailable
from worker_support import (
    SETTINGS,
    WAIT_S,
    chat,
    completion,
    not_started,
    pieces_of,
    reasons,
    running,
    text_of,
    texts,
    until,
)


async def test_an_echo_comes_back_through_a_worker_process() -> None:
    async with running() as started:
        pieces = await pieces_of(started, chat("one two three"))

    assert [piece.text for piece in pieces] == ["one", " two", " three", ""]
    assert reasons(pieces) == {0: "stop"}
    assert pieces[-1].usage is not None
    assert (pieces[-1].usage.prompt_tokens, pieces[-1].usage.completion_tokens) == (3, 3)


async def test_an_answer_that_is_not_streamed_comes_in_one_piece() -> None:
    async with running() as started:
        pieces = await pieces_of(started, chat("one two three", stream=False))

    assert [(piece.text, piece.tokens, piece.finish_reason) for piece in pieces] == [("one two three", 3, "stop")]


@pytest.mark.parametrize("backend", ["echo", "echo-process", "echo-tokens"])
async def test_what_an_engine_has_made_of_an_answer_shows_although_it_is_held(backend: str) -> None:
    progress = Progress()
    async with running(backend, tokens_per_second=50) as started:
        pieces = started.engine.generate(chat("word " * 100, stream=False), progress)
        reading = asyncio.create_task(anext(pieces))
        await until(lambda: progress.at_work)
        held = not reading.done()
        counted = (progress.prompt_tokens, progress.tokens > 0)

        reading.cancel()
        await asyncio.wait([reading])
        whole = await pieces_of(started, chat("word " * 100, max_tokens=1))

    assert held
    assert counted == (whole[-1].usage and whole[-1].usage.prompt_tokens, True)


@pytest.mark.parametrize("backend", ["echo-process", "echo-tokens"])
async def test_requests_run_side_by_side(backend: str) -> None:
    async with running(backend, tokens_per_second=200) as started:
        wanted = [f"request number {number}" for number in range(12)]

        answers = await asyncio.gather(*(text_of(started, chat(text)) for text in wanted))

    assert answers == wanted


async def test_the_handle_says_what_it_holds() -> None:
    async with running("echo-tokens") as started:
        described = started.engine.describe()
        now = await started.engine.stats()

    assert described["state"] is EngineState.READY
    assert (described["deaths"], described["running"], described["pending"]) == (0, 0, 0)
    assert now.details == {"rows": 0, "dimensions": 64, "matryoshka": True, "dialect": None}
    assert now.context_length == 8192


async def test_the_states_of_a_quiet_life_are_told() -> None:
    async with running() as started:
        pass

    assert [state for state, _ in started.states] == [EngineState.STARTING, EngineState.READY, EngineState.STOPPED]
    with pytest.raises(Unavailable, match="stopped") as caught:
        await pieces_of(started, chat())
    assert caught.value.retry_after_s == 5
    with pytest.raises(Unavailable):
        await started.engine.stats()


async def test_a_request_the_engine_refuses_fails_alone() -> None:
    async with running(context_length=10) as started:
        with pytest.raises(InvalidRequest, match="max_tokens") as caught:
            await pieces_of(started, chat(max_tokens=11))

        assert caught.value.param == "max_tokens"
        assert await text_of(started, chat("still here")) == "still here"


@pytest.mark.parametrize("value", ["lone \ud800", 2**64], ids=["surrogate", "integer"])
async def test_a_value_that_cannot_travel_fails_its_request_and_not_the_connection(value: object) -> None:
    bad = GenerationRequest(model="m", prompts=["x"], chat_template_kwargs={"bad": value}, stream=True)
    async with running() as started:
        with pytest.raises(InvalidRequest, match="cannot be sent"):
            await pieces_of(started, bad)

        assert await text_of(started, chat("still here")) == "still here"


@pytest.mark.parametrize("backend", ["echo-process", "echo-tokens"])
async def test_an_engine_that_gives_a_request_up_goes_on_with_the_others(backend: str) -> None:
    async with running(backend, fail_after=2) as started:
        with pytest.raises(EngineFailed, match="told to fail"):
            await pieces_of(started, chat("one two three"))

        assert await text_of(started, chat("a")) == "a"
        assert started.engine.describe()["deaths"] == 0


@pytest.mark.parametrize("delay_ms", [0, 60_000], ids=["in decode", "in prefill"])
async def test_closing_the_iterator_cancels_in_the_engine(delay_ms: int) -> None:
    async with running("echo-tokens", delay_ms=delay_ms, tokens_per_second=5) as started:
        pieces = started.engine.generate(completion("x" * 1000))
        first = asyncio.create_task(anext(pieces))
        if delay_ms:
            await until(lambda: started.engine.describe()["running"] == 1)
            first.cancel()
            await asyncio.wait([first])
        else:
            await first
        assert (await started.engine.stats()).details["rows"] == (0 if delay_ms else 1)

        await pieces.aclose()

        assert (await started.engine.stats()).details["rows"] == 0
        assert started.engine.describe()["running"] == 0


async def test_closing_the_iterator_cancels_in_the_queue() -> None:
    settings = SETTINGS(restart_pause_s=60.0, max_restart_pause_s=60.0)
    async with running(settings=settings) as started:
        os.kill(started.pid, signal.SIGKILL)
        await started.reach(EngineState.RESTARTING)
        pieces = started.engine.generate(chat())
        assert started.engine.describe()["waiting"] == 1  # though nobody reads yet

        await pieces.aclose()

        assert started.engine.describe()["waiting"] == 0
        with pytest.raises(StopAsyncIteration):
            await anext(pieces)


async def test_a_reader_that_is_cancelled_cancels_the_request() -> None:
    async with running("echo-tokens", delay_ms=60_000) as started:
        first = asyncio.create_task(anext(started.engine.generate(completion("x"))))
        await until(lambda: started.engine.describe()["running"] == 1)
        await asyncio.sleep(0)  # it reads

        first.cancel()
        await asyncio.wait([first])

        assert started.engine.describe()["running"] == 0


async def test_a_request_waits_for_a_restart_no_longer_than_it_may_take() -> None:
    settings = SETTINGS(restart_pause_s=60.0, max_restart_pause_s=60.0)
    async with running(settings=settings) as started:
        os.kill(started.pid, signal.SIGKILL)
        await started.reach(EngineState.RESTARTING)

        with pytest.raises(TimedOut, match="starting again"):
            await pieces_of(started, chat(timeout_s=0.05))


async def test_who_comes_during_a_pause_is_told_how_much_of_it_is_left() -> None:
    settings = SETTINGS(restart_pause_s=60.0, max_restart_pause_s=60.0)
    async with running(settings=settings) as started:
        os.kill(started.pid, signal.SIGKILL)
        await started.reach(EngineState.RESTARTING)

        with pytest.raises(Unavailable, match="restarting") as caught:
            await started.engine.stats()

        assert caught.value.code == "model_loading"
        assert 30 < (caught.value.retry_after_s or 0) <= 60


async def test_stopping_fails_what_still_runs() -> None:
    started = not_started(tokens_per_second=1)
    await started.engine.start()
    pieces = started.engine.generate(chat())
    await anext(pieces)

    await started.engine.stop(5)

    with pytest.raises(Unavailable) as caught:
        await anext(pieces)
    assert caught.value.code == "model_draining"


async def test_a_worker_that_does_not_stop_is_killed() -> None:
    started = not_started("echo-tokens", hang_after=0)
    await started.engine.start()
    pid = started.pid
    hanging = asyncio.create_task(pieces_of(started, chat()))
    await until(lambda: started.engine.describe()["pending"] == 1)

    async with asyncio.timeout(10):
        await started.engine.stop(0.1)

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(Unavailable):
        await hanging


async def test_choices_of_several_prompts_are_numbered_through() -> None:
    async with running("echo-tokens") as started:
        pieces = await pieces_of(started, completion("ab", [99, 100], n=2))

    assert texts(pieces) == {0: "ab", 1: "ab", 2: "cd", 3: "cd"}
    assert reasons(pieces) == dict.fromkeys(range(4), "stop")
    assert pieces[-1].usage is not None
    assert (pieces[-1].usage.prompt_tokens, pieces[-1].usage.completion_tokens) == (4, 8)


async def test_what_the_engine_said_last_is_described() -> None:
    async with running("echo-tokens", delay_ms=10_000) as started:
        answer = asyncio.create_task(pieces_of(started, chat()))
        await until(lambda: started.engine.describe()["running"] == 1)

        before = started.engine.describe()["details"]["rows"]
        async with asyncio.timeout(WAIT_S):
            while not (await started.engine.stats()).details["rows"]:  # noqa: ASYNC110  it happens in another process
                await asyncio.sleep(0.01)
        after = started.engine.describe()["details"]["rows"]

        answer.cancel()
        await asyncio.wait([answer])

    assert (before, after) == (0, 1)
