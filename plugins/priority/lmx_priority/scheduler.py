"""The asyncio shell around the policy: waits for a turn, a deadline or the end of patience."""

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import Any

from attrs import define, field

from lmx_hookspecs import MemoryReport, Ticket
from lmx_hookspecs.errors import LmxError
from lmx_priority import refusals
from lmx_priority.config import PriorityConfig
from lmx_priority.description import described
from lmx_priority.place import Place, Standing
from lmx_priority.policy import Policy

SAMPLE_S = 1.0
"""Seconds for which a look at the memory holds."""
LOOK_AGAIN_S = 0.25
"""While anybody waits, memory and the patience of swaps are looked at this often: no request tells of their change."""


@define(kw_only=True, eq=False)
class PriorityScheduler:
    """Admits requests as the policy says."""

    config: PriorityConfig
    memory: Callable[[], MemoryReport]
    clock: Callable[[], float] = time.monotonic
    policy: Policy = field(init=False)
    _sampled_s: float = field(default=-math.inf, init=False)
    _timer: asyncio.TimerHandle | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.policy = Policy(self.config)

    def admit(self, ticket: Ticket) -> "Admission":
        """Entered when the request may run; raises Busy or TimedOut."""
        return Admission(self, ticket)

    def reconfigure(self, config: PriorityConfig) -> None:
        """New bounds: who waits already keeps place and patience."""
        self.config = config
        self.policy.reconfigure(config)
        self._sampled_s = -math.inf
        self._look()

    def describe(self) -> Mapping[str, Any]:
        """Waiting requests, running rows and the limit of rows as it is now: in total, per model and per key."""
        now_s = self.clock()
        self._sample(now_s)
        return described(self.policy, now_s)

    async def enter(self, ticket: Ticket) -> Place:
        """A place that runs."""
        now_s = self.clock()
        patience_s = self._patience_s(ticket, now_s)
        if self.policy.looks_at_memory(ticket):
            self._sample(now_s)
        elif self._is_stale(now_s):  # a look takes up to a millisecond, and this request need not wait for it
            asyncio.get_running_loop().call_soon(self._look)
        place = self.policy.enter(ticket, now_s, patience_s)
        if place.standing is not Standing.RUNNING:
            try:
                await self._turn(place, patience_s)
            except BaseException:  # also one that is cancelled: the place goes to the next
                self.leave(place)
                raise
        return place

    def leave(self, place: Place) -> None:
        """Give a place up, wherever it stands."""
        self.policy.leave(place, self.clock())
        if self._timer is not None and not self.policy.waiting:
            self._timer.cancel()
            self._timer = None

    async def _turn(self, place: Place, patience_s: float) -> None:
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        place.wake = partial(_come, turn)
        if self._timer is None:
            self._timer = loop.call_later(LOOK_AGAIN_S, self._look_again, loop)
        try:
            async with asyncio.timeout(patience_s):
                await turn
        except TimeoutError:
            # The turn may have come in the very moment in which the time ran out.
            if place.standing is Standing.WAITING:
                raise self._gave_up(place) from None
        if place.refusal is not None:
            raise place.refusal

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(LOOK_AGAIN_S, self._look_again, loop) if self.policy.waiting else None
        self._look()

    def _look(self) -> None:
        now_s = self.clock()
        self._sample(now_s)
        self.policy.advance(now_s)

    def _is_stale(self, now_s: float) -> bool:
        return now_s - self._sampled_s >= SAMPLE_S

    def _sample(self, now_s: float) -> None:
        if self._is_stale(now_s):
            self._sampled_s = now_s
            self.policy.see(self.memory())

    def _patience_s(self, ticket: Ticket, now_s: float) -> float:
        if ticket.deadline is None:
            return self.config.max_wait_s
        if ticket.deadline <= now_s:
            raise refusals.timed_out(ticket)
        return min(self.config.max_wait_s, ticket.deadline - now_s)

    def _gave_up(self, place: Place) -> LmxError:
        deadline = place.ticket.deadline
        now_s = self.clock()
        if deadline is not None and deadline <= now_s:
            return refusals.timed_out(place.ticket)
        return refusals.gave_up(place.ticket.model, self.policy.outlook(place), now_s - place.arrived_s)


@define(eq=False)
class Admission:
    """One request's stay; a context manager."""

    scheduler: PriorityScheduler
    ticket: Ticket
    _place: Place | None = field(default=None, init=False)

    async def __aenter__(self) -> None:
        self._place = await self.scheduler.enter(self.ticket)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._place is not None:
            self.scheduler.leave(self._place)


def _come(turn: "asyncio.Future[None]") -> None:
    if not turn.done():  # its task may have been cancelled a moment ago
        turn.set_result(None)
