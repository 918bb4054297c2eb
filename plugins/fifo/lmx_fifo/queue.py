"""The policy: who runs, who waits and who is turned away in one model. Plain values, no clock, no asyncio."""

from collections import deque
from collections.abc import Callable
from enum import StrEnum

from attrs import define, field

from lmx_hookspecs import Ticket
from lmx_hookspecs.errors import Busy

SMOOTHING = 0.2
"""Weight of the newest request in the running mean of service times."""
SHORTEST_RETRY_S = 1.0


class Standing(StrEnum):
    """Where a place stands."""

    WAITING = "waiting"
    RUNNING = "running"
    GONE = "gone"


@define(eq=False)
class Place:
    """One request's place in the queue, and later in the engine."""

    weight: int
    limit: int
    admitted: Callable[[], None]
    """Called once, when the request may run."""
    standing: Standing = Standing.WAITING
    started_at_s: float = 0.0


@define(eq=False)
class Queue:
    """Requests of one model in order of arrival; nobody overtakes, so nobody waits for ever behind lighter ones."""

    max_queue: int
    running_rows: int = 0
    limit: int = 0
    """Rows that may run at once, by the latest ticket."""
    mean_service_s: float | None = None
    waiting: deque[Place] = field(factory=deque)

    def enter(self, ticket: Ticket, now_s: float, admitted: Callable[[], None]) -> Place:
        """Take a place, which may run at once; raises Busy when too many wait already."""
        place = Place(ticket.weight, ticket.limit, admitted)
        self.limit = ticket.limit
        if not self.waiting and self._fits(place):
            self._start(place, now_s)
        elif len(self.waiting) < self.max_queue:
            self.waiting.append(place)
        else:
            raise Busy(self._why_full(ticket.model), retry_after_s=self.retry_after_s())
        return place

    def leave(self, place: Place, now_s: float) -> None:
        """Give the place up, whether it waits or runs, and let in who fits now."""
        if place.standing is Standing.WAITING:
            self.waiting.remove(place)
        elif place.standing is Standing.RUNNING:
            self.running_rows -= place.weight
            self._learn(now_s - place.started_at_s)
        place.standing = Standing.GONE
        self._advance(now_s)

    def retry_after_s(self) -> float:
        """When those who wait now should have been let in, at the rate measured so far."""
        rows = self.running_rows + sum(place.weight for place in self.waiting)
        rounds = rows / max(1, self.limit)
        return max(SHORTEST_RETRY_S, rounds * (self.mean_service_s or 0.0))

    def _why_full(self, model: str) -> str:
        if self.max_queue == 0:
            return f"model {model} is busy, and plugins.fifo.max_queue is 0, so that nobody may wait; try again later"
        return f"{len(self.waiting)} requests for model {model} are waiting already; try again later"

    def _advance(self, now_s: float) -> None:
        while self.waiting and self._fits(self.waiting[0]):
            self._start(self.waiting.popleft(), now_s)

    def _fits(self, place: Place) -> bool:
        """Within the limit; one that is heavier than the limit runs alone."""
        return self.running_rows == 0 or self.running_rows + place.weight <= place.limit

    def _start(self, place: Place, now_s: float) -> None:
        place.standing = Standing.RUNNING
        place.started_at_s = now_s
        self.running_rows += place.weight
        place.admitted()

    def _learn(self, service_s: float) -> None:
        known = service_s if self.mean_service_s is None else self.mean_service_s
        self.mean_service_s = known + SMOOTHING * (service_s - known)
