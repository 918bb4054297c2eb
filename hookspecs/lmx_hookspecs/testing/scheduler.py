"""A scheduler must admit, queue and refuse as its protocol says."""

import asyncio
import time

from attrs import evolve

from lmx_hookspecs.errors import TimedOut
from lmx_hookspecs.scheduling import Scheduler, Ticket
from lmx_hookspecs.testing.expectation import expect

PATIENCE_S = 10.0


def check_scheduler(scheduler: Scheduler) -> None:
    """Admit, queue, let the next one in, survive a cancelled waiter and an error, refuse past the deadline."""
    asyncio.run(asyncio.wait_for(_check_scheduler(scheduler), PATIENCE_S))


async def _check_scheduler(scheduler: Scheduler) -> None:
    ticket = Ticket(model="m", resident=True, limit=1)
    expect(_running(scheduler) == 0, "a fresh scheduler has nothing running")
    async with scheduler.admit(ticket):
        expect(_running(scheduler) == 1, "an admitted request is running")
        waiter = await _waiting(scheduler, ticket)
        cancelled = await _waiting(scheduler, ticket)
        cancelled.cancel()
        await asyncio.wait([cancelled])
        await _check_deadline(scheduler, evolve(ticket, deadline=time.monotonic()))
    await waiter
    try:
        async with scheduler.admit(ticket):
            raise ZeroDivisionError
    except ZeroDivisionError:
        expect(_running(scheduler) == 0, "a request that failed still holds its place")


async def _waiting(scheduler: Scheduler, ticket: Ticket) -> asyncio.Task[None]:
    """A task that waits for admission behind a full model."""
    before = scheduler.describe()["waiting"]
    task = asyncio.create_task(_pass_through(scheduler, ticket))
    while not task.done() and scheduler.describe()["waiting"] == before:  # noqa: ASYNC110  no event tells that a task waits
        await asyncio.sleep(0)
    expect(not task.done(), "a second request was admitted beyond limit=1")
    return task


async def _pass_through(scheduler: Scheduler, ticket: Ticket) -> None:
    async with scheduler.admit(ticket):
        pass


async def _check_deadline(scheduler: Scheduler, ticket: Ticket) -> None:
    try:
        await _pass_through(scheduler, ticket)
    except TimedOut:
        return
    raise AssertionError("a request past its deadline was admitted: raise TimedOut")


def _running(scheduler: Scheduler) -> int:
    facts = scheduler.describe()
    for name in ("waiting", "running", "limit"):
        expect(isinstance(facts.get(name), int), f"describe() has no integer {name!r}")
    return int(facts["running"])
