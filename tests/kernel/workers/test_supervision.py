import asyncio
import os
import signal

import pytest
from attrs import evolve

from lmx.workers import EngineState
from lmx_hookspecs.errors import EngineFailed, Unavailable
from worker_support import SETTINGS, chat, pieces_of, running, text_of, until

FAST = SETTINGS(heartbeat_interval_s=0.3, step_timeout_sec=0.6, restart_pause_s=0.01, quarantine_after=10)


async def test_a_worker_killed_before_the_first_piece_goes_unnoticed() -> None:
    async with running(delay_ms=300) as started:
        answer = asyncio.create_task(text_of(started, chat("one two three")))
        await until(lambda: started.engine.describe()["running"] == 1)

        os.kill(started.pid, signal.SIGKILL)

        assert await answer == "one two three"
        assert started.engine.describe()["deaths"] == 1


async def test_an_answer_that_is_not_streamed_is_made_again_in_the_middle() -> None:
    async with running(tokens_per_second=20) as started:
        answer = asyncio.create_task(text_of(started, chat("one two three", stream=False)))
        await until(lambda: started.engine.describe()["running"] == 1)
        await started.engine.stats()

        os.kill(started.pid, signal.SIGKILL)

        assert await answer == "one two three"


async def test_a_worker_killed_in_mid_stream_ends_the_stream_with_an_error() -> None:
    async with running(tokens_per_second=20) as started:
        pieces = started.engine.generate(chat("one two three four five six"))
        await anext(pieces)

        os.kill(started.pid, signal.SIGKILL)

        with pytest.raises(EngineFailed, match="SIGKILL"):
            async for _ in pieces:
                pass
        assert await text_of(started, chat("next")) == "next"


async def test_a_request_that_kills_two_workers_fails() -> None:
    async with running(crash_after=1) as started:
        with pytest.raises(EngineFailed, match="SIGABRT; the log says why") as caught:
            await pieces_of(started, chat("one two", stream=False))

        assert "told to crash" not in caught.value.message
        assert caught.value.code == "engine_failed"
        assert started.engine.describe()["deaths"] == 2
        await started.reach(EngineState.READY)


async def test_a_step_that_raises_ends_the_worker_with_its_traceback() -> None:
    async with running("echo-tokens", crash_after=0) as started:
        with pytest.raises(EngineFailed, match="the worker exited with 1; the log says why"):
            await pieces_of(started, chat())

        last_lines = started.log.named("worker_died")[0]["last_lines"]
        assert last_lines[-1] == "RuntimeError: the echo was told to crash"
        said = [facts["line"] for facts in started.log.named("worker_output")]
        assert any("step_engine.py" in line for line in said)


async def test_requests_that_arrive_during_a_restart_wait_for_it() -> None:
    async with running(settings=SETTINGS(restart_pause_s=0.2)) as started:
        os.kill(started.pid, signal.SIGKILL)
        await started.reach(EngineState.RESTARTING)

        answers = await asyncio.gather(*(text_of(started, chat(text)) for text in ("a", "b")))

    assert answers == ["a", "b"]


async def test_a_silent_worker_is_replaced() -> None:
    async with running(settings=FAST) as started:
        first = started.pid

        os.kill(first, signal.SIGSTOP)
        reason = await started.reach(EngineState.RESTARTING)
        await started.reach(EngineState.READY)

        assert "silent" in reason
        assert started.pid != first


async def test_a_wedged_worker_is_replaced_and_says_where_it_hung() -> None:
    async with running("echo-tokens", hang_after=1, settings=FAST) as started:
        pieces = started.engine.generate(chat("one"))
        await anext(pieces)

        reason = await started.reach(EngineState.RESTARTING)

        assert "wedged" in reason
        with pytest.raises(EngineFailed, match="wedged"):
            await anext(pieces)
        said = [facts["line"] for facts in started.log.named("worker_output")]
        assert any("_misbehave" in line for line in said)


async def test_a_text_engine_that_makes_no_progress_is_wedged_too() -> None:
    async with running(hang_after=1, settings=FAST) as started:
        pieces = started.engine.generate(chat("one two"))
        await anext(pieces)

        assert "wedged" in await started.reach(EngineState.RESTARTING)
        await pieces.aclose()


async def test_a_model_that_keeps_dying_is_quarantined() -> None:
    async with running(crash_after=0, settings=SETTINGS(quarantine_after=2)) as started:
        with pytest.raises(EngineFailed):
            await pieces_of(started, chat())

        reason = await started.reach(EngineState.QUARANTINED)

        assert "told to crash" in reason
        assert started.engine.describe()["reason"] == reason
        with pytest.raises(Unavailable, match="quarantined: 2 workers died") as caught:
            await pieces_of(started, chat())
        assert (caught.value.code, caught.value.retry_after_s) == ("model_quarantined", 60)
        assert "told to crash" not in caught.value.message


async def test_restarts_that_fail_end_in_quarantine_too() -> None:
    async with running(settings=SETTINGS(quarantine_after=3, restart_pause_s=0.2)) as started:
        supervisor = started.engine._supervisor  # type: ignore[attr-defined]
        failing = {**supervisor.assignment.load, "config": {"fail_load": "error"}}
        supervisor.assignment = evolve(supervisor.assignment, load=failing)
        waiting = asyncio.create_task(pieces_of(started, chat()))
        os.kill(started.pid, signal.SIGKILL)

        reason = await started.reach(EngineState.QUARANTINED)

        assert "3 workers died" in reason
        assert "told to fail" in reason
        with pytest.raises((Unavailable, EngineFailed)):
            await waiting


async def test_a_restart_that_meets_a_bug_of_ours_counts_as_a_death() -> None:
    async with running(settings=SETTINGS(quarantine_after=3)) as started:

        def break_when_ready(state: EngineState, reason: str) -> None:
            started.change(state, reason)
            if state is EngineState.READY:
                raise KeyError("private")

        started.engine._supervisor._on_change = break_when_ready  # type: ignore[attr-defined]
        os.kill(started.pid, signal.SIGKILL)
        reason = await started.reach(EngineState.QUARANTINED)

        assert "3 workers died, the last one so: the model could not be loaded: KeyError; the log says why" in reason
        assert [repr(facts["exc_info"]) for facts in started.log.named("restart_failed")] == ["KeyError('private')"] * 2
