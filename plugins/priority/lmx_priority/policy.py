"""The policy: who runs, who waits and who is turned away. Plain values, no clock, no asyncio."""

from collections.abc import Iterator
from itertools import count

from attrs import define, evolve, field

from lmx_hookspecs import MemoryReport, Ticket
from lmx_priority import refusals
from lmx_priority.config import PriorityConfig
from lmx_priority.estimate import Outlook
from lmx_priority.keys import Keys
from lmx_priority.line import Line
from lmx_priority.place import Place, Standing
from lmx_priority.pressure import adapted, pressure
from lmx_priority.swaps import Swaps


@define(eq=False)
class Policy:
    """All models; times are seconds on any clock that does not run backwards."""

    config: PriorityConfig
    pressure: float = 0.0
    """Share of the memory in use, which lowers the limits."""
    lines: dict[str, Line] = field(factory=dict)
    """By model id; a ticket names a model that exists, so there are no more than the catalogue has."""
    keys: Keys = field(init=False)
    waiting: int = 0
    swaps: Swaps = field(init=False)
    _numbers: Iterator[int] = field(factory=count)

    def __attrs_post_init__(self) -> None:
        self.keys = Keys(self.config.key_limit)
        self.swaps = Swaps(self.config.swap_patience_s, self.keys.allow)

    def reconfigure(self, config: PriorityConfig) -> None:
        """Other bounds from now on."""
        self.config = config
        self.keys.limit, self.swaps.patience_s = config.key_limit, config.swap_patience_s

    def enter(self, ticket: Ticket, now_s: float, patience_s: float) -> Place:
        """Take a place, which may run at once.

        Raises Busy when it would wait for longer than `patience_s`, or when the queue is full; then one who has more
        in it than the newcomer makes way.
        """
        line = self._line(ticket)
        place = Place(ticket, next(self._numbers), now_s)
        if not self.waiting and not line.cold and self._may_run(line, place):
            self._start(line, place, now_s)
            return place
        line.add(place)
        self.waiting += 1
        self.advance(now_s)
        if place.standing is Standing.WAITING:
            self._bound_waiting(line, place, now_s, patience_s)
        return place

    def leave(self, place: Place, now_s: float) -> None:
        """Give the place up, whether it waits or runs, and let in who fits now; a second time changes nothing."""
        line = self.lines[place.ticket.model]
        if place.standing is Standing.WAITING:
            self._withdraw(line, place)
        elif place.standing is Standing.RUNNING:
            self._finish(line, place, now_s)
        place.standing = Standing.GONE
        if self.waiting:
            self.advance(now_s)

    def advance(self, now_s: float) -> None:
        """Let in everybody who may run now; to be called again when time has passed or a bound has changed."""
        while any(self._serve(line, now_s) for line in self._turns()):
            continue  # one who starts may be what another model has waited for

    def see(self, report: MemoryReport) -> None:
        """What is held of the memory now: it lowers the limits, and tells which models are loaded."""
        self.pressure = pressure(report) if self.config.adapt_to_memory else 0.0
        self.swaps.see({holding.name for holding in report.holdings}, self.lines.values())

    def looks_at_memory(self, ticket: Ticket) -> bool:
        """Whether it depends on the memory if this request runs: the only one of a model that is loaded always does."""
        line = self.lines.get(ticket.model)
        alone = not self.waiting and (line is None or not (line.running or line.cold))
        return not (alone and ticket.resident)

    def limit(self, line: Line) -> int:
        """Rows that may run in this model now."""
        return adapted(line.limit, self.pressure)

    def outlook(self, place: Place) -> Outlook:
        """What a waiting request can expect of its model, or of its key where that lets it wait for longer."""
        line, key_limit = self.lines[place.ticket.model], self.config.key_limit
        outlook = line.outlook(place, self.limit(line))
        if key_limit is None:
            return outlook
        by_key_s = line.service.wait_s(self._key_rows_until(place) - key_limit, key_limit)
        return evolve(outlook, wait_s=max(outlook.wait_s, by_key_s))

    def _key_rows_until(self, place: Place) -> int:
        """Rows of its key that run or go before it, over all models, and its own."""
        waiting = (other for line in self.lines.values() for other in line.waiting if other.key == place.key)
        ahead = sum(one.weight for one in waiting if (one.level, one.number) <= (place.level, place.number))
        return self.keys.rows.get(place.key, 0) + ahead

    def _line(self, ticket: Ticket) -> Line:
        line = self.lines.get(ticket.model)
        if line is None:
            line = self.lines[ticket.model] = Line(ticket.model)
        if ticket.resident:
            self.swaps.arrived(line)
        line.hear(ticket, believe=not self.swaps.under_way(line))
        return line

    def _turns(self) -> list[Line]:
        """Cold models first, whose turn lets others go on; then the one of which nobody was let in for longest."""
        lines = [line for line in self.lines.values() if line.waiting]
        return sorted(lines, key=lambda line: (not line.cold, line.started))

    def _serve(self, line: Line, now_s: float) -> bool:
        """Whether anybody was let in."""
        line.promote(now_s, self.config.ageing_s)
        before = line.started
        while self.swaps.may_start(line, self.lines.values(), now_s):
            place = self._next(line)
            if place is None:
                break
            self.waiting -= 1
            self._start(line, place, now_s)
            place.wake()
        return line.started != before

    def _next(self, line: Line) -> Place | None:
        """The first in order who may run; those too heavy for the room are passed by `limit` rows at most."""
        if line.running_rows >= self.limit(line):
            return None
        passed: list[Place] = []
        for place in line.heads():
            if not self.keys.allow(place):
                self.keys.keep_back(place)
                continue
            if self._fits(line, place):
                for heavy in passed:
                    heavy.passed_rows += place.weight
                return place
            if place.passed_rows >= line.limit:
                return None
            passed.append(place)
        return None

    def _may_run(self, line: Line, place: Place) -> bool:
        return self._fits(line, place) and self.keys.allow(place)

    def _fits(self, line: Line, place: Place) -> bool:
        """Within the model's limit; one that is heavier than the limit runs alone."""
        return not line.running or line.running_rows + place.weight <= self.limit(line)

    def _start(self, line: Line, place: Place, now_s: float) -> None:
        if line.cold:
            self.swaps.starts(line, self.lines.values(), now_s)
        line.start(place, now_s)
        line.started = next(self._numbers)
        self.keys.start(place)

    def _finish(self, line: Line, place: Place, now_s: float) -> None:
        line.finish(place, now_s)
        self.swaps.arrived(line)
        self.keys.finish(place)

    def _withdraw(self, line: Line, place: Place) -> None:
        line.remove(place)
        self.keys.forget(place)
        self.waiting -= 1

    def _bound_waiting(self, line: Line, place: Place, now_s: float, patience_s: float) -> None:
        outlook = self.outlook(place)
        if outlook.trusted and outlook.wait_s > patience_s:
            self.leave(place, now_s)
            raise refusals.too_long(line.model, outlook, patience_s)
        if len(line.waiting) <= self.config.max_queue:
            return
        victim = line.greediest(place)
        if victim is place:
            self.leave(place, now_s)
            raise refusals.full(line.model, outlook, self.config.max_queue)
        victim.refusal = refusals.made_way(line.model, self.outlook(victim))
        self.leave(victim, now_s)
        victim.wake()
