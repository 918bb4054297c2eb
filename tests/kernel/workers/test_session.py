import asyncio
import os
import signal
import time
from collections.abc import Mapping, Sequence
from typing import Any

import psutil
import pytest
from attrs import define, evolve

from kernel_support import Log
from lmx.workers import EngineState, wire
from lmx.workers.requests import Requests
from lmx.workers.session import Assignment, Session
from lmx_hookspecs.errors import ConfigError, EngineFailed, TimedOut, Unavailable
from worker_support import SETTINGS, Started, backend, chat, not_started, pieces_of, running, text_of, until


async def test_a_load_that_fails_says_why() -> None:
    started = not_started(fail_load="error")

    with pytest.raises(EngineFailed, match="the echo was told to fail"):
        await started.engine.start()

    assert started.engine.state is EngineState.STOPPED


async def test_a_load_that_takes_the_worker_down_is_explained_by_its_last_words() -> None:
    started = not_started(fail_load="crash")

    with pytest.raises(EngineFailed, match="SIGABRT; the log says why") as caught:
        await started.engine.start()

    assert "told to crash" not in caught.value.message
    assert "the echo was told to crash" in (caught.value.detail or "")
    assert started.engine.describe()["reason"] == caught.value.detail == started.states[-1][1]
    said = [facts["line"] for facts in started.log.named("worker_output")]
    assert "the echo was told to crash" in said
    assert any("lmx_echo" in line for line in said), "the stack stands in the log"


async def test_a_load_that_hangs_is_ended() -> None:
    started = not_started(fail_load="hang", settings=SETTINGS(start_timeout_s=1.5))

    began_s = time.monotonic()
    with pytest.raises(EngineFailed, match=r"not loaded within 1\.5 s"):
        await started.engine.start()

    assert time.monotonic() - began_s < 10


async def test_a_load_that_is_cancelled_leaves_nothing_behind() -> None:
    started = not_started(fail_load="hang")
    before = set(psutil.Process().children())
    loading = asyncio.create_task(started.engine.start())
    await until(lambda: bool(set(psutil.Process().children()) - before))

    loading.cancel()

    with pytest.raises(asyncio.CancelledError):
        await loading
    assert started.engine.state is EngineState.STOPPED


async def test_stopping_ends_a_load() -> None:
    started = not_started(fail_load="hang")
    before = set(psutil.Process().children())
    loading = asyncio.create_task(started.engine.start())
    await until(lambda: bool(set(psutil.Process().children()) - before))

    await started.engine.stop(1)

    with pytest.raises(Unavailable):
        await loading


async def test_configuration_that_does_not_hold_is_told_by_the_worker() -> None:
    started = not_started(delay_ms="long")

    with pytest.raises(ConfigError, match=r"plugin 'echo'.*delay_ms"):
        await started.engine.start()


async def test_the_worker_gets_the_environment_that_its_backend_asks_for() -> None:
    async with running(spec=evolve(backend("echo-process"), environment=lambda: {"LMX_TEST_MARK": "here"})) as started:
        environment = psutil.Process(started.pid).environ()

    assert environment["LMX_TEST_MARK"] == "here"
    assert environment["PATH"] == os.environ["PATH"]


async def test_a_backend_that_cannot_say_its_environment_does_not_start() -> None:
    def broken() -> Mapping[str, str]:
        raise LookupError("no library")

    started = not_started(spec=evolve(backend("echo-process"), environment=broken))

    with pytest.raises(EngineFailed, match="could be started: no library"):
        await started.engine.start()


async def test_an_interrupt_from_the_terminal_is_left_to_the_kernel() -> None:
    async with running() as started:
        os.kill(started.pid, signal.SIGINT)

        assert await text_of(started, chat("still here")) == "still here"
        assert started.engine.describe()["deaths"] == 0


async def test_an_engine_that_is_stuck_in_a_step_does_not_keep_who_asks_it() -> None:
    settings = SETTINGS(heartbeat_interval_s=30.0, step_timeout_sec=0.3)
    async with running("echo-tokens", hang_after=0, settings=settings) as started:
        stuck = asyncio.create_task(pieces_of(started, chat()))

        with pytest.raises(TimedOut, match="did not answer"):
            await ask_again_and_again(started)

        stuck.cancel()
        await asyncio.wait([stuck])


@define(eq=False)
class Swallowing:
    """Stands for the socket to a worker: takes what is written."""

    def write(self, data: bytes) -> None:
        pass


@pytest.mark.parametrize(
    "frame", [["result", -1, 5], ["failed", -1, wire.error_to_wire(EngineFailed("no"))]], ids=["result", "failure"]
)
async def test_an_answer_to_who_just_gave_up_is_dropped(frame: Sequence[Any]) -> None:
    assignment = Assignment(plugin="echo", load={}, settings=SETTINGS())
    session = Session(assignment, Requests().take, Log())
    session.worker.frames_open(Swallowing())  # type: ignore[arg-type]  # as much of a transport as is used
    call = asyncio.create_task(session.call("describe"))
    await asyncio.sleep(0)

    call.cancel()
    await asyncio.sleep(0)  # the result is no longer wanted, and the call not yet forgotten
    while not call.done():
        session.worker.on_frame(frame)
        await asyncio.sleep(0)

    assert call.cancelled()


async def ask_again_and_again(started: Started) -> None:
    while True:
        await started.engine.stats()
