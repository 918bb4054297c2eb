"""The requests of one model: who waits in which order, how much runs, and whether the model is loaded."""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from math import inf

from attrs import define, field

from lmx_hookspecs import Ticket
from lmx_priority.estimate import Outlook, ServiceTime
from lmx_priority.fair import Fair, shared_by_key_and_client
from lmx_priority.place import CLASSES, Place, Standing


def _levels() -> list[Fair]:
    return [shared_by_key_and_client() for _ in CLASSES]


def _steps() -> dict[tuple[int, int], OrderedDict[Place, None]]:
    """From the bottom, so that one who is late moves twice in one go."""
    return {(rank, level): OrderedDict() for rank in range(1, len(CLASSES)) for level in range(rank, 0, -1)}


@define(eq=False)
class Line:
    """One model's; how many may run is decided outside."""

    model: str
    limit: int = 1
    """Rows that may run at once, by the latest ticket."""
    resident: bool = True
    """Whether the model is believed to be loaded."""
    fits: bool = True
    """Whether loading it is believed to take no other model's memory."""
    chilled_s: float = -inf
    """When another model was loaded in its place."""
    held_back_s: float = -inf
    """When it was last seen that the keys of all who wait allow nothing."""
    running_rows: int = 0
    running: int = 0
    started: int = -1
    """When it last let one in, as a number that grows over all models."""
    service: ServiceTime = field(factory=ServiceTime)
    waiting: OrderedDict[Place, None] = field(factory=OrderedDict)
    """In order of arrival."""
    waiting_rows: int = 0
    _levels: list[Fair] = field(factory=_levels)
    """The queues of the three classes."""
    _steps: dict[tuple[int, int], OrderedDict[Place, None]] = field(factory=_steps)
    """Who may still move up, in order of arrival, by the class they came with and the one they are in."""

    @property
    def cold(self) -> bool:
        """Whether a request would have to load it at another model's expense."""
        return not (self.resident or self.fits or self.running)

    def oldest_s(self) -> float:
        """When the one who waits longest arrived; somebody waits."""
        return next(iter(self.waiting)).arrived_s

    def hear(self, ticket: Ticket, *, believe: bool) -> None:
        """What a ticket says of the model; good news is not believed while another model is being loaded in its place.

        While something runs, it is loaded or being loaded: a ticket knows no better.
        """
        self.limit = ticket.limit
        if not self.running:
            self.resident = ticket.resident and (believe or self.resident)
            self.fits = ticket.fits and (believe or self.fits)

    def chill(self, now_s: float) -> None:
        """Another model takes its memory."""
        self.resident = self.fits = False
        self.chilled_s = now_s

    def add(self, place: Place) -> None:
        """Let it wait."""
        self.waiting[place] = None
        self.waiting_rows += place.weight
        self._levels[place.level].add(place)
        if place.level:
            self._steps[place.rank, place.level][place] = None

    def remove(self, place: Place) -> None:
        """It has given up."""
        self._forget(place)
        self._levels[place.level].remove(place)

    def start(self, place: Place, now_s: float) -> None:
        """Into the engine, out of the queue if it was there: then it must be one of `heads`."""
        if place in self.waiting:
            self._forget(place)
            self._levels[place.level].take(place)
        place.standing = Standing.RUNNING
        place.started_s = now_s
        place.typical = self.resident and place.ticket.resident
        self.running_rows += place.weight
        self.running += 1
        self.resident = True

    def finish(self, place: Place, now_s: float) -> None:
        """Out of the engine."""
        self.running_rows -= place.weight
        self.running -= 1
        if place.typical:
            self.service.learn(now_s - place.started_s)

    def promote(self, now_s: float, ageing_s: float) -> None:
        """Move those up who have waited long enough; each moves twice at most."""
        for (rank, level), places in self._steps.items():
            due_s = now_s - (rank - level + 1) * ageing_s
            while places and (place := next(iter(places))).arrived_s <= due_s:
                del places[place]
                self._levels[level].remove(place)
                place.level -= 1
                self._levels[place.level].add(place)
                if place.level:
                    self._steps[rank, place.level][place] = None

    def heads(self) -> Iterator[Place]:
        """Who may be next: the first of every client of every key, in order, class by class."""
        for level in self._levels:
            yield from level.heads()

    def waiting_in(self, level: int) -> int:
        """Requests that wait in a class by now."""
        return len(self._levels[level])

    def outlook(self, place: Place, limit: int) -> Outlook:
        """What a waiting request can expect where `limit` rows run at once."""
        higher = sum(len(level) for level in self._levels[: place.level])
        position = higher + self._levels[place.level].position(place)
        rows = position * self.waiting_rows / len(self.waiting)
        return self.service.outlook(position, len(self.waiting), self.running_rows + rows - limit, limit)

    def greediest(self, newcomer: Place) -> Place:
        """The newest of the lowest requests of the client with most waiting, of the key with most.

        In a tie the newcomer's: nobody makes way for one who has as much.
        """
        key = _most(Counter(place.key for place in self.waiting), newcomer.key)
        rivals = [place for place in self.waiting if place.key == key]
        client = _most(Counter(place.client for place in rivals), newcomer.client)
        return max((one for one in rivals if one.client == client), key=lambda place: (place.rank, place.number))

    def _forget(self, place: Place) -> None:
        del self.waiting[place]
        self.waiting_rows -= place.weight
        if place.level:
            del self._steps[place.rank, place.level][place]


def _most(counts: "Counter[str | None]", own: str | None) -> str | None:
    most = max(counts.values())
    return own if counts.get(own) == most else next(name for name, count in counts.items() if count == most)
