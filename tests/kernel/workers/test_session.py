import asyncio
import time

import psutil
import pytest

from lmx.workers import EngineState
from lmx_hookspecs.errors import ConfigError, EngineFailed, Unavailable
from worker_support import SETTINGS, not_started, until


async def test_a_load_that_fails_says_why() -> None:
    started = not_started(fail_load="error")

    with pytest.raises(EngineFailed, match="the echo was told to fail"):
        await started.engine.start()

    assert started.engine.state is EngineState.STOPPED


async def test_a_load_that_takes_the_worker_down_is_explained_by_its_last_words() -> None:
    started = not_started(fail_load="crash")

    with pytest.raises(EngineFailed, match=r"SIGABRT.*the echo was told to crash"):
        await started.engine.start()

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
    loading = asyncio.create_task(started.engine.start())
    await until(lambda: bool(psutil.Process().children()))

    loading.cancel()

    with pytest.raises(asyncio.CancelledError):
        await loading
    assert started.engine.state is EngineState.STOPPED


async def test_stopping_ends_a_load() -> None:
    started = not_started(fail_load="hang")
    loading = asyncio.create_task(started.engine.start())
    await until(lambda: bool(psutil.Process().children()))

    await started.engine.stop(1)

    with pytest.raises(Unavailable):
        await loading


async def test_configuration_that_does_not_hold_is_told_by_the_worker() -> None:
    started = not_started(delay_ms="long")

    with pytest.raises(ConfigError, match=r"plugin 'echo'.*delay_ms"):
        await started.engine.start()
