import asyncio
import random
from contextlib import AsyncExitStack
from typing import Any

import pytest
from attrs import define, evolve, field

import lmx_priority
from lmx_hookspecs import MemoryReport, Reconfigurable, Ticket
from lmx_hookspecs.errors import Busy, TimedOut
from lmx_hookspecs.testing import FakeContext, check_plugin, check_scheduler
from lmx_priority.config import PriorityConfig
from lmx_priority.scheduler import PriorityScheduler
from priority_support import memory

TICKET = Ticket(model="m", resident=True, limit=1)


@define
class Clock:
    """Stands still until it is told otherwise."""

    now_s: float = 100.0

    def __call__(self) -> float:
        return self.now_s


@define
class Ledger:
    """Says what it is told to say, and how often it was asked."""

    report: MemoryReport = field(factory=memory)
    asked: int = 0

    def __call__(self) -> MemoryReport:
        self.asked += 1
        return self.report


def scheduler_with(ledger: Ledger | None = None, clock: Clock | None = None, **config: Any) -> PriorityScheduler:
    scheduler = PriorityScheduler(config=PriorityConfig(**config), memory=ledger or Ledger())
    if clock is not None:
        scheduler.clock = clock
    return scheduler


async def pass_through(scheduler: PriorityScheduler, ticket: Ticket) -> None:
    async with scheduler.admit(ticket):
        pass


async def queued(scheduler: PriorityScheduler, ticket: Ticket = TICKET) -> "asyncio.Task[None]":
    """A request that waits, and leaves as soon as it was let in."""
    task = asyncio.create_task(pass_through(scheduler, ticket))
    await asyncio.sleep(0)
    return task


def test_the_plugin_keeps_the_contract() -> None:
    offers = check_plugin(lmx_priority)

    (spec,) = offers["lmx_schedulers"]
    check_scheduler(spec.open(FakeContext(config=PriorityConfig())))


def test_it_takes_part_in_reloads() -> None:
    assert isinstance(scheduler_with(), Reconfigurable)


async def test_one_who_leaves_lets_the_next_one_in() -> None:
    scheduler = scheduler_with()
    async with scheduler.admit(TICKET):
        waiter = await queued(scheduler)
        assert scheduler.describe()["waiting"] == 1

    await waiter

    assert scheduler.describe()["running"] == 0


async def test_a_cancelled_waiter_leaves_its_place_to_the_next() -> None:
    scheduler = scheduler_with(max_queue=2)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(scheduler.admit(TICKET))
        first, second = await queued(scheduler), await queued(scheduler)

        first.cancel()
        await asyncio.wait([first])
        third = await queued(scheduler)

        assert scheduler.describe()["waiting"] == 2
    await asyncio.gather(second, third)


async def test_a_turn_that_comes_together_with_the_cancellation_is_passed_on() -> None:
    scheduler = scheduler_with()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(scheduler.admit(TICKET))
        first, second = await queued(scheduler), await queued(scheduler)

        await stack.aclose()  # the turn of the first comes …
        first.cancel()  # … before it could wake up
        await asyncio.wait([first])

    await second
    assert first.cancelled()
    assert scheduler.describe()["running"] == 0


async def test_a_cancellation_that_comes_before_the_turn_leaves_no_place_taken() -> None:
    scheduler = scheduler_with()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(scheduler.admit(TICKET))
        first = await queued(scheduler)

        first.cancel()
        await stack.aclose()
        await asyncio.wait([first])

    assert scheduler.describe()["running"] == 0
    assert scheduler.describe()["waiting"] == 0


async def test_a_thousand_requests_that_come_and_are_cancelled_at_random_leave_nothing_behind() -> None:
    scheduler, moments = scheduler_with(max_queue=1000), random.Random(0)
    running, most = 0, 0

    async def stay(number: int) -> None:
        nonlocal running, most
        ticket = evolve(TICKET, limit=8, weight=1 + number % 3, key=f"k{number % 5}", client=f"c{number % 11}")
        async with scheduler.admit(ticket):
            running += ticket.weight
            most = max(most, running)
            try:
                for _ in range(moments.randrange(3)):
                    await asyncio.sleep(0)
            finally:
                running -= ticket.weight

    tasks = [asyncio.create_task(stay(number)) for number in range(1000)]
    while doomed := [task for task in tasks if not task.done()]:
        for task in moments.sample(doomed, min(5, len(doomed))):
            task.cancel()
        await asyncio.sleep(0)

    done = [task for task in tasks if not task.cancelled()]
    assert all(task.exception() is None for task in done)
    assert len(done) > 100
    assert most == 8
    facts = scheduler.describe()
    assert (facts["running"], facts["waiting"], facts["keys"]) == (0, 0, {})


async def test_all_of_a_thousand_waiters_get_their_turn() -> None:
    scheduler = scheduler_with(max_queue=1000)
    async with scheduler.admit(TICKET):
        waiters = [asyncio.create_task(pass_through(scheduler, TICKET)) for _ in range(1000)]
        await asyncio.sleep(0)
        assert scheduler.policy.waiting == 1000

    await asyncio.gather(*waiters)

    assert scheduler.describe()["running"] == 0


async def test_a_full_queue_is_busy_at_once() -> None:
    scheduler = scheduler_with(max_queue=0)

    async with scheduler.admit(TICKET):
        with pytest.raises(Busy) as refusal:
            await pass_through(scheduler, TICKET)

    assert refusal.value.code == "rate_limit_exceeded"
    assert refusal.value.retry_after_s == 1.0


async def test_one_who_makes_way_for_another_is_told_so() -> None:
    scheduler = scheduler_with(max_queue=2)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(scheduler.admit(TICKET))
        first, second = await queued(scheduler), await queued(scheduler)

        other = await queued(scheduler, evolve(TICKET, client="other"))

        with pytest.raises(Busy, match="made way for another client's"):
            await second
    await asyncio.gather(first, other)


async def test_one_who_waited_too_long_is_told_so_and_leaves_the_queue() -> None:
    scheduler = scheduler_with(max_wait_s=0.001)

    async with scheduler.admit(TICKET):
        with pytest.raises(Busy, match=r"was not reached; it was number 1 of 1 that wait"):
            await pass_through(scheduler, TICKET)

        assert scheduler.describe()["waiting"] == 0


async def test_a_deadline_that_has_passed_is_refused_although_there_is_room() -> None:
    clock = Clock()
    scheduler = scheduler_with(clock=clock)

    with pytest.raises(TimedOut):
        await pass_through(scheduler, evolve(TICKET, deadline=clock.now_s))


async def test_a_deadline_that_passes_in_the_queue_times_out() -> None:
    clock = Clock()
    scheduler = scheduler_with(clock=clock)

    async with scheduler.admit(TICKET):
        waiter = await queued(scheduler, evolve(TICKET, deadline=clock.now_s + 0.001))
        clock.now_s += 1

        with pytest.raises(TimedOut):
            await waiter
        assert scheduler.describe()["waiting"] == 0


async def test_who_waits_is_let_in_when_memory_is_no_longer_short_although_nobody_leaves() -> None:
    ledger, clock = Ledger(memory(99)), Clock()
    scheduler = scheduler_with(ledger, clock)
    ticket = evolve(TICKET, limit=4)
    async with scheduler.admit(ticket):
        waiter = await queued(scheduler, ticket)
        assert scheduler.describe()["limit"] == 1

        ledger.report = memory(10)
        clock.now_s += 1
        await waiter


async def test_memory_is_looked_at_once_a_second_at_most() -> None:
    ledger, clock = Ledger(), Clock()
    scheduler = scheduler_with(ledger, clock)

    for _ in range(100):
        await pass_through(scheduler, TICKET)
        await asyncio.sleep(0)
        clock.now_s += 0.02

    assert ledger.asked == 2


async def test_the_only_request_of_a_loaded_model_is_let_in_first_and_memory_looked_at_then() -> None:
    ledger, clock = Ledger(memory(99)), Clock()
    scheduler = scheduler_with(ledger, clock)
    ticket = evolve(TICKET, limit=4)

    async with scheduler.admit(ticket):
        assert ledger.asked == 0
        await asyncio.sleep(0)
        assert ledger.asked == 1

        second = await queued(scheduler, ticket)
        assert scheduler.describe()["waiting"] == 1  # the memory is short
    await second


@pytest.mark.parametrize("resident", [True, False])
async def test_for_any_other_request_it_is_looked_at_before(resident: bool) -> None:
    ledger, clock = Ledger(), Clock()
    scheduler = scheduler_with(ledger, clock)
    ticket = evolve(TICKET, limit=4, resident=resident)

    async with scheduler.admit(ticket):
        await asyncio.sleep(0)
        clock.now_s += 1
        before = ledger.asked
        async with scheduler.admit(ticket):
            assert ledger.asked == before + 1


async def test_no_timer_runs_while_nobody_waits() -> None:
    scheduler = scheduler_with()
    async with scheduler.admit(TICKET):
        waiter = await queued(scheduler)
        timer = scheduler._timer

        waiter.cancel()
        await asyncio.wait([waiter])

    assert timer is not None
    assert timer.cancelled()
    assert scheduler._timer is None


async def test_new_bounds_hold_at_once_and_who_waits_keeps_its_patience() -> None:
    scheduler = scheduler_with(max_wait_s=60, key_limit=1)
    ticket = evolve(TICKET, key="k", limit=2)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(scheduler.admit(ticket))
        waiter = await queued(scheduler, ticket)
        assert scheduler.describe()["waiting"] == 1

        scheduler.reconfigure(PriorityConfig(max_wait_s=0.001, key_limit=None))

        await waiter
