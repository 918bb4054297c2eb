import asyncio
from typing import Any

import pytest
from attrs import define, field

from kernel_support import Clock, Engines, lifecycle, sized, turns, until
from lmx.models.lifecycle import Lifecycle
from lmx_hookspecs import LoadOptions
from lmx_hookspecs.testing import FakeEvents


@define(eq=False)
class Pauses:
    """Pauses that end when a test lets the time pass; a model that loads or changes ends them too."""

    clock: Clock
    limits_s: list[float] = field(factory=list)
    _over: asyncio.Event = field(factory=asyncio.Event)

    async def __call__(self, woken: asyncio.Event, limit_s: float) -> None:
        self.limits_s.append(limit_s)
        self._over.clear()
        ends = [asyncio.create_task(event.wait()) for event in (woken, self._over)]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()

    async def after(self, seconds: float) -> None:
        self.clock.now_s += seconds
        self._over.set()
        await turns()


def watched(*models: Any, **memory: Any) -> tuple[Lifecycle, Pauses, FakeEvents]:
    clock, events = Clock(), FakeEvents()
    pauses = Pauses(clock)
    life = lifecycle(Engines(), *models, memory=memory, clock=clock, pause=pauses, events=events)
    life.start()
    return life, pauses, events


def loaded(models: Lifecycle) -> list[str]:
    return [resident.info.id for resident in models.loaded()]


async def test_an_idle_model_goes_when_its_time_has_come_and_not_before() -> None:
    models, pauses, events = watched(sized("m", 1), ttl_enabled=True, ttl_seconds=60)
    await models.load("m")
    await turns()

    await pauses.after(59.9)
    early = loaded(models)
    await pauses.after(0.1)
    await until(lambda: not models.loaded())

    assert early == ["m"]
    names = [name for name, data in events.published if data.get("model_id") == "m" and name != "model_state"]
    assert names == ["model_loaded", "model_ttl_evicted", "model_unloaded"]
    assert ("model_ttl_evicted", {"model_id": "m", "idle_seconds": 60.0}) in events.published
    await models.close()


async def test_the_watch_sleeps_until_the_next_model_is_due_but_never_longer_than_the_interval() -> None:
    models, pauses, _ = watched(sized("m", 1), ttl_check_interval_sec=30)
    await models.load("m", LoadOptions(keep_alive_s=40))
    await turns()

    first = pauses.limits_s[-1]
    await pauses.after(30)

    assert (first, pauses.limits_s[-1]) == (30, 10)
    await models.close()


@pytest.mark.parametrize(
    ("settings", "options", "memory", "lasts_s"),
    [
        ({}, {}, {}, None),
        ({}, {}, {"ttl_enabled": True, "ttl_seconds": 60}, 60),
        ({"keep_alive_sec": 20}, {}, {"ttl_enabled": True, "ttl_seconds": 60}, 20),
        ({"keep_alive_sec": 20}, {"keep_alive_s": 5}, {}, 5),
        ({"keep_alive_sec": 20}, {"keep_alive_s": 0}, {"ttl_enabled": True, "ttl_seconds": 60}, None),
        ({"keep_alive_sec": 0}, {}, {"ttl_enabled": True, "ttl_seconds": 60}, None),
        ({"pinned": True}, {}, {"ttl_enabled": True, "ttl_seconds": 60}, None),
    ],
)
async def test_the_load_decides_then_the_models_settings_then_the_general_time(
    settings: dict[str, Any], options: dict[str, Any], memory: dict[str, Any], lasts_s: float | None
) -> None:
    models, pauses, _ = watched(sized("m", 1, **settings), **memory)
    await models.load("m", LoadOptions(**options))
    await turns()

    await pauses.after(10_000 if lasts_s is None else lasts_s)

    assert loaded(models) == (["m"] if lasts_s is None else [])
    await models.close()


async def test_a_model_in_use_is_never_idle_and_is_so_only_from_the_end_of_its_use() -> None:
    models, pauses, _ = watched(sized("m", 1), ttl_enabled=True, ttl_seconds=60)
    async with models.lease("m"):
        await turns()
        await pauses.after(1000)
        in_use = loaded(models)

    await pauses.after(59)
    after_use = loaded(models)
    await pauses.after(1)

    assert (in_use, after_use, loaded(models)) == (["m"], ["m"], [])
    await models.close()


async def test_a_keep_alive_that_is_changed_counts_at_once() -> None:
    models, pauses, _ = watched(sized("m", 1))
    await models.load("m")
    pauses.clock.now_s += 10

    await models.load("m", LoadOptions(keep_alive_s=10))
    await until(lambda: not models.loaded())

    assert loaded(models) == []
    await models.close()


async def test_a_request_brings_back_what_went_for_idleness() -> None:
    models, pauses, _ = watched(sized("m", 1), ttl_enabled=True, ttl_seconds=60)
    await models.load("m")
    await turns()
    await pauses.after(60)

    async with models.lease("m"):
        assert loaded(models) == ["m"]

    await models.close()
