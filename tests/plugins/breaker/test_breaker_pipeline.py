"""The breaker where it stands: around the attempts of real requests."""

from typing import Any

import pytest
from attrs import define, field

from kernel_support import END, ScriptedEngine, chat, info, lifecycle, until
from lmx.events import EventBus
from lmx.metrics import PrometheusMetrics
from lmx.pipeline import Pipeline
from lmx_breaker.config import BreakerConfig
from lmx_breaker.guard import BreakerGuard
from lmx_hookspecs import Generation, GenerationRequest
from lmx_hookspecs.errors import EngineFailed, LmxError, Unavailable
from lmx_hookspecs.testing import FakeContext
from pipeline_support import Bench, collect

DEAD = (EngineFailed("died"),)


@define(eq=False)
class Services:
    """What the breaker reaches through its context: the pipeline that it guards, among others."""

    bench: Bench
    events: EventBus = field(factory=EventBus)
    metrics: PrometheusMetrics = field(factory=PrometheusMetrics)
    pipeline: Pipeline = field(init=False)

    @property
    def models(self) -> Any:
        return self.bench.models

    async def generate(self, request: GenerationRequest) -> Generation:
        return await self.pipeline.generate(request)


@define(eq=False)
class Guarded:
    """Models `a` and `b` behind a breaker, `b` being the fallback of `a`."""

    config: BreakerConfig = field(factory=BreakerConfig)
    fallback: list[str] = field(factory=list)
    engines: dict[str, ScriptedEngine] = field(factory=lambda: {"a": ScriptedEngine(DEAD), "b": ScriptedEngine()})
    guard: BreakerGuard = field(init=False)
    pipeline: Pipeline = field(init=False)
    bench: Bench = field(init=False)

    def __attrs_post_init__(self) -> None:
        models = lifecycle(lambda model: self.engines[model.id], info("a"), info("b"))
        models.catalogue.settings = {"a": {"fallback": self.fallback}}
        self.bench = Bench(models)
        services = Services(self.bench)
        self.guard = BreakerGuard(ctx=FakeContext(config=self.config, name="breaker", services=services))
        self.bench.guards = [self.guard]
        self.pipeline = services.pipeline = self.bench.pipeline()

    async def ask(self) -> str:
        """Who answered, or the code of the error."""
        try:
            await collect(self.pipeline, chat("a"))
        except LmxError as error:
            return error.code
        return str(self.bench.line()["model"])

    def state(self) -> str:
        return str(self.guard.describe()["targets"]["a"]["state"])


async def test_three_failures_and_the_fourth_request_does_not_reach_the_engine() -> None:
    made = Guarded()

    answers = [await made.ask() for _ in range(4)]

    assert answers == ["engine_failed"] * 3 + ["circuit_open"]
    assert len(made.engines["a"].requests) == 3
    await made.guard.close()


async def test_while_the_circuit_is_open_the_fallback_answers() -> None:
    made = Guarded(fallback=["b"])

    answers = [await made.ask() for _ in range(4)]

    assert answers == ["b"] * 4
    assert len(made.engines["a"].requests) == 3
    assert made.state() == "open"
    await made.guard.close()


async def test_the_probe_passes_its_own_guard_and_closes_the_circuit() -> None:
    made = Guarded(BreakerConfig(reset_after_s=0.01), fallback=["b"])
    for _ in range(3):
        await made.ask()
    made.engines["a"].script = [END]

    await until(lambda: made.state() == "closed")

    probe = made.engines["a"].requests[-1]
    assert (probe.surface, probe.max_tokens) == ("probe", 1)
    assert await made.ask() == "a"
    await made.guard.close()


async def test_a_probe_that_fails_does_not_ask_the_fallback() -> None:
    made = Guarded(BreakerConfig(reset_after_s=0.01), fallback=["b"])
    for _ in range(3):
        await made.ask()

    await until(lambda: len(made.engines["a"].requests) > 4)

    assert [request.surface for request in made.engines["b"].requests] == [""] * 3
    await made.guard.close()


async def test_a_model_that_was_unloaded_is_not_loaded_by_a_probe_but_tried_by_the_next_request() -> None:
    made = Guarded(BreakerConfig(reset_after_s=0.01))
    for _ in range(3):
        await made.ask()
    await made.bench.models.unload("a")
    await until(lambda: made.state() == "half_open")
    loaded = list(made.bench.models.loaded())
    made.engines["a"].script = [END]

    answer = await made.ask()

    assert (loaded, answer, made.state()) == ([], "a", "closed")
    await made.guard.close()


async def test_a_refused_request_gives_up_no_place_and_no_lease() -> None:
    made = Guarded()
    for _ in range(3):
        await made.ask()

    with pytest.raises(Unavailable) as caught:
        await made.pipeline.generate(chat("a"))

    assert made.bench.door.inside == 0
    assert caught.value.retry_after_s is not None
    assert 59 < caught.value.retry_after_s <= 60
    await made.guard.close()
