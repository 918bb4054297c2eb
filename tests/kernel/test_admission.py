import asyncio
from collections.abc import Callable

import pytest
from attrs import define, field

from kernel_support import Log, ScriptedEngine, chat, info, lifecycle
from lmx.accounting import Record
from lmx.admission import Admission, Attempt, Call
from lmx.deadline import Deadline
from lmx.models.lifecycle import Lifecycle
from lmx_hookspecs import Outcome
from lmx_hookspecs.errors import (
    Busy,
    EngineFailed,
    InsufficientMemory,
    InvalidRequest,
    ModelNotFound,
    TimedOut,
    Unavailable,
)
from pipeline_support import Door, Witness


@define(eq=False)
class Bench:
    """An admission, and what a call through it leaves behind."""

    models: Lifecycle = field(factory=lambda: lifecycle(ScriptedEngine(), info("m", size_bytes=1)))
    door: Door = field(factory=Door)
    witness: Witness = field(factory=Witness)
    waits: Record = field(factory=lambda: Record(chat(), "m"))

    async def call(self, end: Exception | None = None, deadline: Deadline | None = None) -> None:
        admission = Admission(self.models, self.door, [self.witness], Log(), max_rows=lambda: 7)
        outlook = await self.models.outlook("m")
        call = Call(deadline=deadline or Deadline.of(None, 10.0), weight=2, key="k")
        async with admission.admitted(outlook, call, self.waits):
            if end is not None:
                raise end

    def outcome(self) -> Outcome:
        ((_, outcome),) = self.witness.told
        return outcome


async def test_a_call_holds_the_model_while_it_runs_and_gives_everything_back() -> None:
    bench = Bench()

    await bench.call()

    (resident,) = bench.models.loaded()
    assert (resident.request_count, resident.in_flight, bench.door.inside) == (1, 0, 0)
    assert bench.outcome() is Outcome.OK
    assert bench.waits.load_s > 0


async def test_the_ticket_says_whether_the_model_is_here_and_whether_it_would_fit() -> None:
    bench = Bench(lifecycle(ScriptedEngine(), info("m", settings={"memory_estimate_gb": 10_000})))
    with pytest.raises(InsufficientMemory):
        await bench.call()
    fitting = Bench()
    await fitting.call()
    await fitting.call()

    tickets = [*bench.door.tickets, *fitting.door.tickets]
    assert [(ticket.resident, ticket.fits) for ticket in tickets] == [(False, False), (False, True), (True, True)]
    assert (tickets[0].weight, tickets[0].limit, tickets[0].key) == (2, 7, "k")


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (EngineFailed("died"), Outcome.FAULT),
        (ZeroDivisionError(), Outcome.FAULT),
        (Unavailable("the node says 503", code="overloaded"), Outcome.FAULT),
        (TimedOut("the node did not answer"), Outcome.FAULT),
        (Unavailable("an operator unloads it", code="model_draining"), Outcome.CANCELLED),
        (InvalidRequest("odd"), Outcome.CLIENT_ERROR),
        (Busy("the node says 429"), Outcome.CLIENT_ERROR),
    ],
)
async def test_guards_are_told_whose_fault_it_was(error: Exception, outcome: Outcome) -> None:
    bench = Bench()

    with pytest.raises(type(error)):
        await bench.call(error)

    assert bench.outcome() is outcome


@pytest.mark.parametrize(("asked_s", "outcome"), [(0.0, Outcome.CANCELLED), (None, Outcome.FAULT)])
async def test_a_time_limit_of_the_clients_own_is_no_fault(asked_s: float | None, outcome: Outcome) -> None:
    deadline = Deadline.of(asked_s, 0.05)
    attempt = Attempt("m", Log(), resident=(await loaded()).loaded()[0])

    assert attempt.outcome_of(TimedOut("too late"), deadline) is outcome


async def test_a_load_that_fails_is_a_fault_and_one_that_is_refused_is_not() -> None:
    failing = Bench(lifecycle(ScriptedEngine(load_error=EngineFailed("bad weights")), info("m")))
    refused = Bench(lifecycle(ScriptedEngine(), info("m"), jit_load=False))

    with pytest.raises(EngineFailed):
        await failing.call()
    with pytest.raises(ModelNotFound):
        await refused.call()

    assert (failing.outcome(), refused.outcome()) == (Outcome.FAULT, Outcome.CANCELLED)


async def test_a_target_that_a_guard_refuses_is_neither_queued_for_nor_loaded() -> None:
    bench = Bench(witness=Refusing())

    with pytest.raises(Unavailable):
        await bench.call()

    assert bench.door.tickets == []
    assert bench.models.loaded() == []


async def test_a_load_that_takes_too_long_is_a_timeout() -> None:
    bench = Bench(lifecycle(ScriptedEngine(may_load=asyncio.Event()), info("m")))

    with pytest.raises(TimedOut, match="X-Timeout"):
        await bench.call(deadline=Deadline.of(0.02, 10.0))

    assert bench.waits.load_s > 0.01
    await bench.models.close()


@define(eq=False)
class Refusing(Witness):
    """Lets nobody in."""

    def call(self, target: str) -> Callable[..., None]:  # type: ignore[override]
        raise Unavailable(f"{target} is left alone", code="circuit_open")


async def loaded() -> Lifecycle:
    models = lifecycle(ScriptedEngine(), info("m"))
    await models.load("m")
    return models
