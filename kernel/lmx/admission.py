"""The way into one target, the same for every kind of call: guards, scheduler, lease."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from time import perf_counter
from typing import Protocol

from attrs import define, field, frozen

from lmx.deadline import Deadline
from lmx.models.lifecycle import Lifecycle
from lmx.models.outlook import Outlook
from lmx.models.resident import Resident
from lmx_hookspecs import LmxError, Logger, Outcome, Scheduler, Ticket
from lmx_hookspecs.errors import EngineFailed, TimedOut, Unavailable
from lmx_hookspecs.generation import Priority
from lmx_hookspecs.scheduling import Guard

DEFAULT_ROWS = 32
NOT_ATTEMPTED = frozenset({"model_loading", "model_draining", "model_quarantined", "no_engine", "circuit_open"})
"""Codes of Unavailable with which nothing is said against the target: it was never really called."""


class WorkerAway(Unavailable):
    """The target's worker is being replaced, and the caller would rather go elsewhere than wait for it."""


@frozen(kw_only=True)
class Call:
    """What a call brings to whichever target takes it."""

    deadline: Deadline
    weight: int = 1
    key: str | None = None
    client: str | None = None
    priority: Priority = "normal"
    patient: bool = True
    """Wait for a worker that is being replaced; False raises WorkerAway."""


class Waits(Protocol):
    """Where the seconds before the call go; added up over all targets, also over those that were not entered."""

    queue_s: float
    load_s: float


@define(eq=False)
class Attempt:
    """One call of one target: `Admission.enter` opens it; it must be left, whether that worked or not."""

    target: str
    log: Logger
    resident: Resident | None = None
    """Once it is entered."""
    stack: AsyncExitStack = field(factory=AsyncExitStack)
    reports: list[Callable[[Outcome], None]] = field(factory=list)

    async def leave(self, outcome: Outcome) -> None:
        """Tell the guards, and give everything back; a second time changes nothing."""
        reports, self.reports = self.reports, []
        for report in reports:
            self._tell(report, outcome)
        await self.stack.aclose()

    def outcome_of(self, error: BaseException, deadline: Deadline) -> Outcome:
        """What the guards are told of a call that ended with this error: faults are the engine's alone."""
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            return Outcome.CANCELLED
        if self.resident is None:  # what comes before the engine is nothing that it did, apart from a failed load
            return Outcome.FAULT if isinstance(error, EngineFailed) else Outcome.CANCELLED
        if isinstance(error, TimedOut):
            gave_up = deadline.from_client and not deadline.left_s()
            return Outcome.CANCELLED if gave_up else Outcome.FAULT
        if isinstance(error, Unavailable):
            return Outcome.CANCELLED if error.code in NOT_ATTEMPTED else Outcome.FAULT
        refused = isinstance(error, LmxError) and not isinstance(error, EngineFailed)
        return Outcome.CLIENT_ERROR if refused else Outcome.FAULT

    def _tell(self, report: Callable[[Outcome], None], outcome: Outcome) -> None:
        try:
            report(outcome)
        except Exception as error:  # a guard's bug must not spoil an answer that is complete, nor keep its place
            self.log.error("guard_failed", model=self.target, exc_info=error)


@define(eq=False)
class Admission:
    """Lets calls into targets.

    The guards stand outermost: a target that they refuse is left alone at once, without a place in its queue and
    without being loaded, and a load that fails is a fault that they are told of.
    """

    models: Lifecycle
    scheduler: Scheduler
    guards: Sequence[Guard]
    log: Logger
    max_rows: Callable[[], int | None] = lambda: None
    """`models.max_concurrent_requests` as it is now; None follows the engine's batch size."""

    async def enter(self, attempt: Attempt, outlook: Outlook, call: Call, waits: Waits) -> Resident:
        """Guards, queue and load; raises what any of them refuses with, and TimedOut past the deadline."""
        if outlook.restarting and not call.patient:
            raise _away(attempt.target)
        need_bytes = 0 if outlook.here else await self.models.need_bytes(attempt.target)
        for guard in self.guards:
            attempt.reports.append(await attempt.stack.enter_async_context(guard.call(attempt.target)))
        began = perf_counter()
        try:
            await self._admit(attempt, self._ticket(attempt.target, outlook, call, need_bytes), need_bytes)
        finally:
            admitted = perf_counter()
            waits.queue_s += admitted - began
        try:
            loaded = self.models.is_ready(attempt.target)  # then the lease waits for nothing
            async with asyncio.timeout(None if loaded else call.deadline.left_s()):
                resident = await attempt.stack.enter_async_context(self.models.lease(attempt.target))
        except TimeoutError as error:
            raise call.deadline.passed() from error
        finally:
            waits.load_s += perf_counter() - admitted
        if resident.restarting and not call.patient:
            raise _away(attempt.target)
        attempt.resident = resident
        return resident

    @asynccontextmanager
    async def admitted(self, outlook: Outlook, call: Call, waits: Waits) -> AsyncIterator[Resident]:
        """The resident, held for one call; how the block ends is what the guards are told."""
        attempt = Attempt(outlook.info.id, self.log)
        outcome = Outcome.OK
        try:
            yield await self.enter(attempt, outlook, call, waits)
        except BaseException as error:
            outcome = attempt.outcome_of(error, call.deadline)
            raise
        finally:
            await attempt.leave(outcome)

    async def _admit(self, attempt: Attempt, ticket: Ticket, need_bytes: int) -> None:
        """Wait for a place; whoever is told that there is room has it, and so has whoever is let in to make room."""
        expecting = self.models.prospects.expecting(ticket.model, need_bytes)
        if ticket.fits and need_bytes:
            attempt.stack.enter_context(expecting)
        await attempt.stack.enter_async_context(self.scheduler.admit(ticket))
        if not ticket.fits:
            attempt.stack.enter_context(expecting)

    def _ticket(self, target: str, outlook: Outlook, call: Call, need_bytes: int) -> Ticket:
        return Ticket(
            model=target,
            resident=outlook.ready,
            fits=self.models.prospects.fits(target, need_bytes),
            weight=call.weight,
            limit=self._limit(outlook),
            key=call.key,
            client=call.client,
            priority=call.priority,
            deadline=call.deadline.at_s,
        )

    def _limit(self, outlook: Outlook) -> int:
        settings = outlook.info.settings
        configured = settings.get("max_concurrent_requests") or self.max_rows()
        if configured is not None:
            return int(configured)
        return 1 if settings.get("mode") == "single" else outlook.max_rows or DEFAULT_ROWS


def _away(target: str) -> WorkerAway:
    return WorkerAway(f"the worker of model {target!r} is being replaced; try again in a moment")
