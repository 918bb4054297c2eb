import asyncio
from typing import Any, cast

from kernel_support import Log, ScriptedEngine, info, lifecycle
from lmx.health import HealthDesk, PlacedCheck
from lmx.models.lifecycle import Lifecycle
from lmx.routing import Router
from lmx.state import RuntimeState
from lmx_hookspecs import Context, Health, HealthCheck


def desk(
    *checks: HealthCheck, models: Lifecycle | None = None, auto_load: tuple[str, ...] = (), safe_mode: bool = False
) -> HealthDesk:
    life = models or lifecycle(ScriptedEngine())
    context = cast("Context", None)  # these checks do not look at it
    placed = [PlacedCheck(check, context) for check in checks]
    state = RuntimeState(safe_mode=safe_mode)
    return HealthDesk(placed, life, Router(life.catalogue, life), auto_load, Log(), state)


def check(name: str, answer: Any, *, critical: bool = False) -> HealthCheck:
    async def ask(_ctx: Context) -> Health:
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            await asyncio.Event().wait()
        return cast("Health", answer)

    return HealthCheck(name=name, check=ask, critical=critical, timeout_s=0.02)


async def test_each_check_answers_for_itself_also_when_it_hangs_or_breaks() -> None:
    health = desk(check("good", Health(ok=True)), check("hangs", None), check("breaks", ValueError("its own bug")))

    report = await health.report()

    assert report["good"].ok
    assert (report["hangs"].ok, report["hangs"].detail) == (False, "no answer within 0.02 s")
    assert (report["breaks"].ok, report["breaks"].detail) == (False, "the check itself failed: its own bug")


async def test_only_a_critical_check_keeps_the_server_from_being_ready() -> None:
    bad = Health(ok=False, detail="disk full")

    assert (await desk(check("c", bad)).ready()).ok
    assert (await desk(check("c", bad, critical=True)).ready()) == Health(ok=False, detail="c: disk full")


async def test_ready_waits_for_every_auto_loaded_model() -> None:
    models = lifecycle(ScriptedEngine())
    health = desk(models=models, auto_load=("m",))
    before = await health.ready()

    await models.load("m")

    assert (before.ok, before.detail) == (False, "not loaded yet: m")
    assert (await health.ready()).ok


async def test_without_auto_load_it_is_enough_that_a_model_can_be_asked_for() -> None:
    assert (await desk().ready()).ok
    assert not (await desk(models=lifecycle(ScriptedEngine(), info("x", format="alien"))).ready()).ok


async def test_in_safe_mode_it_is_ready_once_any_model_was_loaded_by_hand() -> None:
    models = lifecycle(ScriptedEngine(), info("m"), info("wanted"))
    health = desk(models=models, auto_load=("wanted",), safe_mode=True)
    before = await health.ready()

    await models.load("m")

    assert not before.ok
    assert "safe mode" in before.detail
    assert "lmx load" in before.detail
    assert (await health.ready()).ok
    assert not (await health.report())["state"].ok


async def test_a_stopping_server_is_not_ready() -> None:
    health = desk()
    health.stopping = True

    assert not (await health.ready()).ok
