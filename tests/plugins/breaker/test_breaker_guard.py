import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import define, evolve, field

import lmx_breaker
from kernel_support import Clock, until
from lmx_breaker.config import BreakerConfig
from lmx_breaker.guard import MAX_TARGETS, BreakerGuard
from lmx_hookspecs import GenerationRequest, ModelInfo, ModelState, ModelStatus, Outcome, Piece
from lmx_hookspecs.errors import Busy, EngineFailed, LmxError, TimedOut, Unavailable
from lmx_hookspecs.testing import FakeContext, FakeGeneration, FakeModels, FakeServices, check_guard, check_plugin

FAULT, OK = Outcome.FAULT, Outcome.OK
LOADED = ModelStatus(
    info=ModelInfo(id="m", format="made-up"), state=ModelState.READY, capabilities=frozenset({"chat", "completion"})
)


@define(kw_only=True)
class Engines(FakeServices):
    """Answers probes with a token, or with `error`; lets nobody in before `may_answer`, or with `refusal`."""

    error: LmxError | None = None
    refusal: LmxError | None = None
    may_answer: asyncio.Event | None = None

    async def generate(self, request: GenerationRequest) -> FakeGeneration:
        self.requests.append(request)
        if self.may_answer is not None:
            await self.may_answer.wait()
        if self.refusal is not None:
            raise self.refusal
        return FakeGeneration(request.model, [] if self.error else [Piece(text="x")], error=self.error)


@define(eq=False)
class Bench:
    """A guard over engines that a test can break."""

    config: BreakerConfig = field(factory=BreakerConfig)
    status: ModelStatus = LOADED
    clock: Clock | None = None
    engines: Engines = field(init=False)
    guard: BreakerGuard = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.engines = Engines(models=FakeModels({"m": self.status}))
        context = FakeContext(config=self.config, name="breaker", services=self.engines)
        self.guard = BreakerGuard(ctx=context, **({"clock": self.clock} if self.clock else {}))

    async def call(self, *outcomes: Outcome, target: str = "m") -> None:
        for outcome in outcomes:
            async with self.guard.call(target) as report:
                report(outcome)

    async def refusal(self) -> Unavailable:
        with pytest.raises(Unavailable) as caught:
            await self.call(OK)
        return caught.value

    def facts(self, target: str = "m") -> Mapping[str, Any]:
        facts: Mapping[str, Any] = self.guard.describe()["targets"][target]
        return facts

    def states(self) -> list[str]:
        return [name.removeprefix("breaker_") for name, _ in self.engines.events.published]

    def samples(self, name: str) -> list[float]:
        return self.engines.metrics.instruments[name].values[(("target", "m"),)]


@asynccontextmanager
async def bench(**facts: Any) -> AsyncIterator[Bench]:
    made = Bench(**facts)
    await made.guard.start()
    yield made
    await made.guard.close()


SOON = BreakerConfig(reset_after_s=0.01)


def test_the_plugin_and_its_guard_keep_the_contract() -> None:
    check_plugin(lmx_breaker)
    check_guard(Bench().guard)


async def test_after_three_failures_the_fourth_call_is_refused_and_told_when_to_come_back() -> None:
    clock = Clock()
    async with bench(clock=clock) as made:
        await made.call(FAULT, FAULT, FAULT)
        clock.now_s += 18.0

        refusal = await made.refusal()

        assert (refusal.code, refusal.param, refusal.retry_after_s) == ("circuit_open", "model", 42.0)
        assert "failed 3 times in a row and is tried in 42 s" in refusal.message


async def test_another_target_is_called_as_before() -> None:
    async with bench() as made:
        await made.call(FAULT, FAULT, FAULT)

        await made.call(OK, target="other")

        assert made.facts("other")["state"] == "closed"


async def test_a_call_that_is_told_nothing_counts_as_given_up() -> None:
    async with bench(config=BreakerConfig(failure_threshold=1)) as made:
        async with made.guard.call("m"):
            pass

        assert made.facts()["state"] == "closed"


async def test_every_change_is_an_event_and_a_reading() -> None:
    async with bench(config=SOON) as made:
        await made.call(FAULT, FAULT, FAULT)

        await until(lambda: made.facts()["state"] == "closed")

        assert made.states() == ["opened", "half_open", "closed"]
        assert made.samples("lmx_breaker_state") == [0, 1, 2, 0]
        assert made.samples("lmx_breaker_opened") == [1]


async def test_a_loaded_engine_is_tried_with_one_token_and_by_nobody_else_meanwhile() -> None:
    async with bench(config=SOON) as made:
        made.engines.may_answer = asyncio.Event()
        await made.call(FAULT, FAULT, FAULT)
        await until(lambda: bool(made.engines.requests))

        refusal = await made.refusal()
        made.engines.may_answer.set()
        await until(lambda: made.facts()["state"] == "closed")

        (probe,) = made.engines.requests
        assert (probe.model, probe.max_tokens, probe.surface, probe.exact) == ("m", 1, "probe", True)
        assert "is being tried right now" in refusal.message


@pytest.mark.parametrize("error", [EngineFailed("died again"), TimedOut("never answered")])
async def test_a_probe_that_fails_opens_the_circuit_again_and_is_repeated(error: LmxError) -> None:
    async with bench(config=SOON) as made:
        made.engines.error = error
        await made.call(FAULT, FAULT, FAULT)
        await until(lambda: len(made.engines.requests) > 1)
        made.engines.error = None

        await until(lambda: made.facts()["state"] == "closed")

        assert made.states()[:4] == ["opened", "half_open", "opened", "half_open"]


async def test_a_model_that_cannot_be_loaded_again_fails_its_probe() -> None:
    async with bench(config=SOON) as made:
        made.engines.refusal = EngineFailed("no load")
        await made.call(FAULT, FAULT, FAULT)

        await until(lambda: len(made.engines.requests) > 1)

        assert made.states()[:3] == ["opened", "half_open", "opened"]


@pytest.mark.parametrize("refusal", [Busy("full"), TimedOut("the deadline passed before model m was free")])
async def test_a_probe_that_does_not_reach_the_engine_leaves_it_to_the_next_call(refusal: LmxError) -> None:
    async with bench(config=SOON) as made:
        made.engines.refusal = refusal
        await made.call(FAULT, FAULT, FAULT)
        await until(lambda: bool(made.engines.requests) and made.facts()["calls"] == 0)

        between = made.facts()["state"]
        await made.call(OK)

        assert (between, made.facts()["state"]) == ("half_open", "closed")


@pytest.mark.parametrize(
    "status",
    [
        evolve(LOADED, state=ModelState.ON_DISK),
        evolve(LOADED, info=evolve(LOADED.info, details={"node": "gpu-box"})),
        evolve(LOADED, capabilities=frozenset({"embed"})),
    ],
    ids=["not loaded", "on a node", "cannot generate"],
)
async def test_what_is_not_to_be_probed_is_tried_by_the_next_call(status: ModelStatus) -> None:
    async with bench(config=SOON, status=status) as made:
        await made.call(FAULT, FAULT, FAULT)
        await until(lambda: made.facts()["state"] == "half_open" and made.facts()["calls"] == 0)

        await made.call(OK)

        assert made.engines.requests == []
        assert made.facts()["state"] == "closed"


async def test_probes_can_be_switched_off() -> None:
    async with bench(config=BreakerConfig(reset_after_s=0.01, probe=False)) as made:
        await made.call(FAULT, FAULT, FAULT)

        await until(lambda: made.facts()["state"] == "half_open")

        assert made.engines.requests == []


async def test_a_bug_in_a_probe_is_logged_and_counts_as_a_failure() -> None:
    async with bench(config=SOON) as made:
        made.engines.models = None  # type: ignore[assignment]
        await made.call(FAULT, FAULT, FAULT)

        await until(lambda: made.states().count("opened") > 1)

        assert ("error", "probe_failed") in [line[:2] for line in made.guard.ctx.log.lines]  # type: ignore[attr-defined]


async def test_other_bounds_hold_at_once_for_what_is_open_too() -> None:
    async with bench() as made:
        await made.call(FAULT, FAULT, FAULT)

        made.guard.reconfigure(SOON)
        await until(lambda: made.facts()["state"] == "closed")

        assert len(made.engines.requests) == 1


async def test_closing_ends_a_probe() -> None:
    async with bench(config=SOON) as made:
        made.engines.may_answer = asyncio.Event()
        await made.call(FAULT, FAULT, FAULT)
        await until(lambda: bool(made.engines.requests))

    assert made.facts()["calls"] == 0
    assert made.facts()["state"] == "half_open"


async def test_only_so_many_targets_are_remembered_and_first_those_with_a_history() -> None:
    async with bench() as made:
        await made.call(FAULT, FAULT, FAULT)
        for number in range(MAX_TARGETS + 10):
            await made.call(OK, target=f"t{number}")

        assert len(made.guard.describe()["targets"]) == MAX_TARGETS
        assert made.facts()["state"] == "open"
