"""The asyncio shell around the policy: waits for a turn, a deadline or the end of patience."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from attrs import define, field

from lmx_fifo.config import FifoConfig
from lmx_fifo.queue import Queue
from lmx_hookspecs import Ticket
from lmx_hookspecs.errors import Busy, LmxError, TimedOut


@define(kw_only=True, eq=False)
class FifoScheduler:
    """One queue per model."""

    config: FifoConfig
    clock: Callable[[], float] = time.monotonic
    _queues: dict[str, Queue] = field(factory=dict, init=False)
    """By model id; a ticket names a model that exists, so there are no more than the catalogue has."""

    def admit(self, ticket: Ticket) -> AbstractAsyncContextManager[None]:
        """Entered when the request may run; raises Busy or TimedOut."""
        return self._admit(ticket)

    def reconfigure(self, config: FifoConfig) -> None:
        """New bounds, for requests that come from now on: whoever waits already keeps place and patience."""
        self.config = config
        for queue in self._queues.values():
            queue.max_queue = config.max_queue

    def describe(self) -> Mapping[str, Any]:
        """Waiting requests, running rows and the limit of rows, in total and per model."""
        models = {
            model: {"waiting": len(queue.waiting), "running": queue.running_rows, "limit": queue.limit}
            for model, queue in sorted(self._queues.items())
        }
        totals = {name: sum(facts[name] for facts in models.values()) for name in ("waiting", "running", "limit")}
        return {"policy": "fifo", **totals, "models": models}

    @asynccontextmanager
    async def _admit(self, ticket: Ticket) -> AsyncIterator[None]:
        self._refuse_expired(ticket)
        queue = self._queues.setdefault(ticket.model, Queue(self.config.max_queue))
        turn = asyncio.Event()
        place = queue.enter(ticket, self.clock(), turn.set)
        try:
            await self._wait(ticket, queue, turn)
            yield
        finally:  # also for a waiter that is cancelled: its place goes to the next
            queue.leave(place, self.clock())

    async def _wait(self, ticket: Ticket, queue: Queue, turn: asyncio.Event) -> None:
        if turn.is_set():
            return
        try:
            async with asyncio.timeout(self._patience_s(ticket)):
                await turn.wait()
        except TimeoutError:
            # The turn may have come in the very moment in which the time ran out.
            if not turn.is_set():
                raise self._gave_up(ticket, queue) from None

    def _patience_s(self, ticket: Ticket) -> float:
        if ticket.deadline is None:
            return self.config.max_wait_s
        return min(self.config.max_wait_s, ticket.deadline - self.clock())

    def _refuse_expired(self, ticket: Ticket) -> None:
        if ticket.deadline is not None and ticket.deadline <= self.clock():
            raise _timed_out(ticket)

    def _gave_up(self, ticket: Ticket, queue: Queue) -> LmxError:
        if ticket.deadline is not None and ticket.deadline <= self.clock():
            return _timed_out(ticket)
        return Busy(
            f"the request waited {self.config.max_wait_s:g} s for model {ticket.model} and was not reached; "
            "try again later",
            retry_after_s=queue.retry_after_s(),
        )


def _timed_out(ticket: Ticket) -> TimedOut:
    return TimedOut(f"the deadline passed before model {ticket.model} was free; allow more time or try again later")
