import asyncio
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, cast

from attrs import define, field

from kernel_support import Clock, Log, ScriptedEngine, info, lifecycle, turns
from lmx.health import HealthDesk, PlacedCheck
from lmx.models.lifecycle import Lifecycle
from lmx.routing import Router
from lmx.state import RuntimeState
from lmx.workers import EngineState
from lmx_hookspecs import Context, Health, HealthCheck


def desk(
    *checks: HealthCheck,
    models: Lifecycle | None = None,
    auto_load: tuple[str, ...] = (),
    safe_mode: bool = False,
    clock: Callable[[], float] = monotonic,
) -> HealthDesk:
    life = models or lifecycle(ScriptedEngine())
    context = cast("Context", None)  # these checks do not look at it
    placed = [PlacedCheck(check, context) for check in checks]
    state = RuntimeState(safe_mode=safe_mode)
    return HealthDesk(placed, life, Router(life.catalogue, life), auto_load, Log(), state, clock=clock)


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


async def test_a_server_that_only_embeds_is_ready_too() -> None:
    embeds = frozenset({"embed"})

    assert (await desk(models=lifecycle(ScriptedEngine(), info("e", capabilities=embeds))).ready()).ok
    assert not (
        await desk(models=lifecycle(ScriptedEngine(), info("r", capabilities=frozenset({"rerank"})))).ready()
    ).ok


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


@define(eq=False)
class Counted:
    """A check that counts how often it is asked, and answers when it may."""

    asked: int = 0
    may_answer: asyncio.Event = field(factory=asyncio.Event)

    async def __call__(self, _ctx: Context) -> Health:
        self.asked += 1
        await self.may_answer.wait()
        return Health(ok=True, facts={"asked": self.asked})


async def test_a_storm_of_probes_asks_a_check_once() -> None:
    counted = Counted()
    health = desk(HealthCheck(name="slow", check=counted))
    storm = [asyncio.create_task(health.report()) for _ in range(100)]
    await turns()

    storm[0].cancel()
    counted.may_answer.set()
    answers = [await asking for asking in storm[1:]]

    assert counted.asked == 1
    assert {answer["slow"].facts["asked"] for answer in answers} == {1}


async def test_an_answer_is_given_again_with_its_age_until_it_is_old() -> None:
    counted, clock = Counted(), Clock()
    counted.may_answer.set()
    health = desk(HealthCheck(name="c", check=counted, keep_s=2.0), clock=clock)

    first = (await health.report())["c"]
    clock.now_s += 1.5
    second = (await health.report())["c"]
    clock.now_s += 0.5
    third = (await health.report())["c"]

    assert [answer.facts["asked"] for answer in (first, second, third)] == [1, 1, 2]
    assert [answer.age_s for answer in (first, second, third)] == [0, 1.5, 0]
    assert first.took_s > 0


@define(eq=False)
class Beating(ScriptedEngine):
    """An engine whose worker has missed some beats."""

    missed: int = 0

    def describe(self) -> Mapping[str, Any]:
        return {"missed_beats": self.missed}


async def test_a_worker_is_ill_from_the_third_beat_on_that_it_misses() -> None:
    engine = Beating()
    models = lifecycle(engine)
    await models.load("m")
    health = desk(models=models, auto_load=("m",))

    engine.missed = 2
    before = (await health.report())["engines"], await health.ready()
    engine.missed = 3
    after = (await health.report())["engines"], await health.ready()

    assert [answer.ok for answer in before] == [True, True]
    assert [answer.detail for answer in after] == ["the worker of m is silent: 3 beats missed"] * 2
    assert not any(answer.ok for answer in after)


async def test_a_worker_that_is_replaced_is_ill_until_the_new_one_is_there() -> None:
    engine = ScriptedEngine()
    models = lifecycle(engine)
    await models.load("m")
    health = desk(models=models, auto_load=("m", "other"))

    engine.change(EngineState.RESTARTING, "the worker is wedged")
    during = (await health.report())["engines"], await health.ready()
    engine.change(EngineState.READY)
    after = (await health.report())["engines"]

    assert during[0].detail == "the worker of m is being replaced: the worker is wedged"
    assert during[1].detail == f"not loaded yet: other; {during[0].detail}"
    assert (after.ok, after.detail) == (True, "1 at work")


async def test_while_nothing_is_loaded_the_disk_is_not_read_for_every_probe() -> None:
    clock = Clock()
    life = lifecycle(ScriptedEngine(), jit_load=False)
    health = desk(models=life, clock=clock)
    source = life.catalogue.sources["list"]
    looked: list[str] = []
    life.catalogue.sources = {"list": Watched(source, looked)}

    before = [await health.ready() for _ in range(10)]
    lookups = len(looked)
    await life.load("m")
    after = await health.ready()

    assert not any(answer.ok for answer in before)
    assert lookups <= 3
    assert (after.ok, after.facts) == (True, {"models_loaded": 1})


@define
class Watched:
    """A model source that notes every look at it."""

    source: Any
    looked: list[str]

    def __getattr__(self, name: str) -> Any:
        self.looked.append(name)
        return getattr(self.source, name)
