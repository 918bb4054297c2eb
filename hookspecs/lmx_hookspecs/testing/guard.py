"""A guard must let calls in, hear how they end, and refuse as its protocol says."""

import asyncio

from lmx_hookspecs.errors import Unavailable
from lmx_hookspecs.scheduling import Guard, Outcome
from lmx_hookspecs.testing.expectation import expect

PATIENCE_S = 10.0
MANY = 20
"""Calls of one kind in a row; no guard should need more to make up its mind."""


def check_guard(guard: Guard) -> None:
    """Call a fresh guard's targets, side by side and one after the other, with every outcome."""
    asyncio.run(asyncio.wait_for(_check_guard(guard), PATIENCE_S))


async def _check_guard(guard: Guard) -> None:
    async with guard.call("a") as report, guard.call("a") as other, guard.call("b") as third:
        for tell in (report, other, third):
            tell(Outcome.OK)
    for outcome in (Outcome.CLIENT_ERROR, Outcome.CANCELLED, None):
        refused = await _refusals(guard, "a", outcome)
        expect(not refused, f"calls are refused after {MANY} of them ended in {outcome}: that is no target's fault")
    await _check_errors_pass(guard)
    await _refusals(guard, "ill", Outcome.FAULT)
    expect(not await _refusals(guard, "a", Outcome.OK), "the faults of one target close another")
    expect(isinstance(guard.describe(), dict), "describe() is no mapping of plain data")


async def _refusals(guard: Guard, target: str, outcome: Outcome | None) -> int:
    """How many of many calls were refused; None tells nothing at all, as for a call that was never made."""
    refused = 0
    for _ in range(MANY):
        try:
            async with guard.call(target) as report:
                if outcome is not None:
                    report(outcome)
        except Unavailable as error:
            expect(error.retry_after_s is not None, "a refusal does not say when to come back")
            refused += 1
    return refused


async def _check_errors_pass(guard: Guard) -> None:
    try:
        async with guard.call("a") as report:
            report(Outcome.CLIENT_ERROR)
            raise ZeroDivisionError
    except ZeroDivisionError:
        return
    raise AssertionError("the guard swallows what the call raised")
