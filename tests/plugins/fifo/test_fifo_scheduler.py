import asyncio
from contextlib import AsyncExitStack

import pytest
from attrs import define

import lmx_fifo
from lmx_fifo.config import FifoConfig
from lmx_fifo.scheduler import FifoScheduler
from lmx_hookspecs import Reconfigurable, Ticket
from lmx_hookspecs.errors import Busy, TimedOut
from lmx_hookspecs.testing import FakeContext, check_plugin, check_scheduler

TICKET = Ticket(model="m", resident=True, limit=1)


@define
class Clock:
    """Stands still until it is told otherwise."""

    now_s: float = 100.0

    def __call__(self) -> float:
        return self.now_s


async def hold(scheduler: FifoScheduler, ticket: Ticket, running: asyncio.Event, end: asyncio.Event) -> None:
    async with scheduler.admit(ticket):
        running.set()
        await end.wait()


async def queued(scheduler: FifoScheduler, ticket: Ticket = TICKET) -> "asyncio.Task[None]":
    """A request that waits, and leaves as soon as it was let in."""

    async def pass_through() -> None:
        async with scheduler.admit(ticket):
            pass

    task = asyncio.create_task(pass_through())
    await asyncio.sleep(0)
    return task


def test_the_plugin_keeps_the_contract() -> None:
    offers = check_plugin(lmx_fifo)

    (spec,) = offers["lmx_schedulers"]
    check_scheduler(spec.open(FakeContext(config=FifoConfig())))


async def test_one_who_leaves_lets_the_next_one_in() -> None:
    scheduler = FifoScheduler(config=FifoConfig())
    running, end = asyncio.Event(), asyncio.Event()
    holder = asyncio.create_task(hold(scheduler, TICKET, running, end))
    await running.wait()
    waiter = await queued(scheduler)
    assert scheduler.describe()["waiting"] == 1

    end.set()
    await asyncio.gather(holder, waiter)

    assert scheduler.describe()["running"] == 0


async def test_models_do_not_wait_for_each_other() -> None:
    scheduler = FifoScheduler(config=FifoConfig())

    async with scheduler.admit(TICKET), scheduler.admit(Ticket(model="other", resident=True, limit=2)):
        facts = scheduler.describe()

    assert facts["running"] == 2
    assert facts["limit"] == 3
    assert facts["models"]["other"] == {"waiting": 0, "running": 1, "limit": 2}


async def test_a_cancelled_waiter_leaves_its_place_to_the_next() -> None:
    scheduler = FifoScheduler(config=FifoConfig(max_queue=2))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(scheduler.admit(TICKET))
        first, second = await queued(scheduler), await queued(scheduler)

        first.cancel()
        await asyncio.wait([first])
        third = await queued(scheduler)

        assert scheduler.describe()["waiting"] == 2
    await asyncio.gather(second, third)


async def test_a_turn_that_comes_together_with_the_cancellation_is_passed_on() -> None:
    scheduler = FifoScheduler(config=FifoConfig())
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(scheduler.admit(TICKET))
        first, second = await queued(scheduler), await queued(scheduler)

        await stack.aclose()  # the turn of the first comes …
        first.cancel()  # … before it could wake up
        await asyncio.wait([first])

    await second
    assert first.cancelled()
    assert scheduler.describe()["running"] == 0


async def test_a_full_queue_is_busy_at_once() -> None:
    scheduler = FifoScheduler(config=FifoConfig(max_queue=0))

    async with scheduler.admit(TICKET):
        with pytest.raises(Busy) as refusal:
            await (await queued(scheduler))

    assert refusal.value.code == "rate_limit_exceeded"
    assert refusal.value.retry_after_s is not None


async def test_one_who_waited_too_long_is_told_so_and_leaves_the_queue() -> None:
    scheduler = FifoScheduler(config=FifoConfig(max_wait_s=0.001))

    async with scheduler.admit(TICKET):
        with pytest.raises(Busy, match=r"waited 0\.001 s for model m"):
            await (await queued(scheduler))

        assert scheduler.describe()["waiting"] == 0


async def test_a_deadline_that_has_passed_is_refused_although_there_is_room() -> None:
    clock = Clock()
    scheduler = FifoScheduler(config=FifoConfig(), clock=clock)

    with pytest.raises(TimedOut):
        async with scheduler.admit(Ticket(model="m", resident=True, deadline=clock.now_s)):
            pass


async def test_a_deadline_that_passes_in_the_queue_times_out() -> None:
    clock = Clock()
    scheduler = FifoScheduler(config=FifoConfig(), clock=clock)
    ticket = Ticket(model="m", resident=True, limit=1, deadline=clock.now_s + 0.001)

    async with scheduler.admit(TICKET):
        waiter = await queued(scheduler, ticket)
        clock.now_s += 1

        with pytest.raises(TimedOut):
            await waiter


async def test_new_bounds_hold_for_requests_that_come_and_not_for_those_that_wait() -> None:
    scheduler = FifoScheduler(config=FifoConfig(max_queue=1, max_wait_s=60))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(scheduler.admit(TICKET))
        patient = await queued(scheduler)

        scheduler.reconfigure(FifoConfig(max_queue=2, max_wait_s=0.001))

        with pytest.raises(Busy, match=r"waited 0\.001 s"):
            await (await queued(scheduler))
        scheduler.reconfigure(FifoConfig(max_queue=0))
        with pytest.raises(Busy, match="nobody may wait"):
            await (await queued(scheduler))
        assert scheduler.describe()["waiting"] == 1

    await patient


def test_it_takes_part_in_reloads() -> None:
    assert isinstance(FifoScheduler(config=FifoConfig()), Reconfigurable)
