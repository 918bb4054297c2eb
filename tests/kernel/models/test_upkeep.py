import asyncio
from typing import Any

import pytest
from attrs import define, evolve

from kernel_support import DESCRIPTION, GB, Engines, Log, ScriptedEngine, info, lifecycle, sized, until
from lmx.models.lifecycle import Lifecycle
from lmx_hookspecs import EngineDescription
from lmx_hookspecs.errors import Unavailable
from lmx_hookspecs.testing import FakeEvents


def grown(engine: ScriptedEngine, size_gb: float) -> None:
    engine.description = evolve(DESCRIPTION, memory_bytes=int(size_gb * GB))


def warnings(events: FakeEvents) -> list[float]:
    return [data["usage_percent"] for name, data in events.published if name == "memory_warning"]


async def loaded(*models: Any, **options: Any) -> tuple[Lifecycle, Engines, FakeEvents]:
    engines, events = Engines(), FakeEvents()
    life = lifecycle(engines, *models, config={"memory_budget_gb": 10}, events=events, **options)
    for model in models:
        await life.load(model.id)
    return life, engines, events


async def test_what_a_model_takes_is_measured_while_it_runs() -> None:
    models, engines, _ = await loaded(info("m", size_bytes=2 * GB))
    before = models.ledger.held_bytes
    grown(engines.of("m"), 3)

    await models._upkeep.measure()

    assert (before, models.ledger.held_bytes) == (GB, 3 * GB)
    assert (await models.get("m")).memory_bytes == 3 * GB
    assert models.memory().holdings[0].measured_bytes == 3 * GB


async def test_what_is_set_aside_for_kv_caches_stays_set_aside_until_they_have_taken_it() -> None:
    models, engines, _ = await loaded(info("m", size_bytes=2 * GB, settings={"kv_budget_gb": 2}))
    held = []

    for size_gb in (1, 2.5, 3.5):
        grown(engines.of("m"), size_gb)
        await models._upkeep.measure()
        held.append(models.ledger.held_bytes / GB)

    assert held == [3, 3, 3.5]


async def test_a_warning_comes_once_until_there_was_room_again() -> None:
    models, engines, events = await loaded(info("m", size_bytes=2 * GB))

    for size_gb in (9, 9.6, 9.7, 9, 9.6):
        grown(engines.of("m"), size_gb)
        await models._upkeep.measure()

    assert warnings(events) == [96.0, 96.0]


async def test_a_load_that_fills_the_budget_is_warned_of_at_once() -> None:
    _, _, events = await loaded(sized("m", 9.8))

    assert warnings(events) == [98.0]
    assert events.published[-1] == ("memory_warning", {"usage_percent": 98.0, "held_gb": 9.8, "budget_gb": 10.0})


@pytest.mark.parametrize("error", [Unavailable("its worker is being replaced"), TimeoutError(), ValueError("a bug")])
async def test_an_engine_that_cannot_be_measured_is_logged_and_keeps_what_it_had(error: Exception) -> None:
    models, engines, _ = await loaded(sized("m", 2), info("n", size_bytes=2 * GB))
    engines.of("m").stats_error = error
    grown(engines.of("n"), 3)

    await models._upkeep.measure()

    log = models.log
    assert isinstance(log, Log)
    assert [facts["model"] for facts in log.named("engine_not_measured")] == ["m"]
    assert models.ledger.held_bytes == 5 * GB


async def test_it_measures_at_every_interval() -> None:
    measured = asyncio.Event()

    @define(eq=False)
    class Told(ScriptedEngine):
        async def stats(self) -> EngineDescription:
            measured.set()
            return self.description

    models = lifecycle(Told(), sized("m", 2))
    await models.load("m")
    models._upkeep.interval_s = lambda: 0.01

    models.start()
    await asyncio.wait_for(measured.wait(), 5)

    await models.close()


async def test_a_look_that_is_wanted_at_once_does_not_wait_for_the_interval() -> None:
    models, engines, _ = await loaded(info("m", size_bytes=2 * GB), memory={"ttl_check_interval_sec": 3600})
    models.start()
    grown(engines.of("m"), 3)

    models.look_again()
    await until(lambda: models.ledger.held_bytes == 3 * GB)

    await models.close()
