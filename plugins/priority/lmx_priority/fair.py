"""Fair queueing: whoever waits gets an equal share of the rows, however many requests each of them has queued.

Self-clocked fair queueing (Golestani, INFOCOM 1994). Each flow's head finishes, in virtual time, its weight after it
became the head; the one that finishes first is next, and sets the clock. A flow that was idle starts at the clock: it
brings no credit along. Heads that come later finish later than the clock, so nobody is overtaken for ever, not even by
ever new flows.
"""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Protocol

from attrs import define, field

from lmx_priority.place import Place

Name = str | None
"""Of a key or a client; None is everybody without one."""


@define(eq=False)
class Shares:
    """The order of named flows, of whose heads only the weight is known; O(log n) and one short memmove a change."""

    clock_rows: int = 0
    """Virtual time: the finish of the flow served last."""
    _order: list[tuple[int, int]] = field(factory=list)
    """Finish of a flow's head, and its number, which decides between equals."""
    _names: dict[tuple[int, int], Name] = field(factory=dict)
    _finishes: dict[Name, tuple[int, int]] = field(factory=dict)
    _starts: dict[Name, int] = field(factory=dict)

    def __iter__(self) -> Iterator[Name]:
        return (self._names[finish] for finish in self._order)

    def __len__(self) -> int:
        return len(self._order)

    def put(self, name: Name, head: Place) -> None:
        """The flow's head is this now; one that takes another's place starts where that one did."""
        start = self._starts.setdefault(name, self.clock_rows)
        finish = (start + head.weight, head.number)
        if self._finishes.get(name) != finish:
            self._unlist(name)
            insort(self._order, finish)
            self._names[finish] = name
            self._finishes[name] = finish

    def drop(self, name: Name) -> None:
        """Nobody waits in this flow any more."""
        self._unlist(name)
        self._starts.pop(name, None)

    def serve(self, name: Name, weight: int) -> None:
        """So much of the flow, its head or what may go before that, leaves for the engine; the next starts now."""
        self.clock_rows = max(self.clock_rows, self._starts[name] + weight)
        self.drop(name)

    def _unlist(self, name: Name) -> None:
        finish = self._finishes.pop(name, None)
        if finish is not None:
            del self._names[finish]
            del self._order[bisect_left(self._order, finish)]


class Queue(Protocol):
    """Places that wait, in some order."""

    def __len__(self) -> int: ...

    def add(self, place: Place) -> None:
        """Let it wait."""

    def remove(self, place: Place) -> None:
        """It has given up."""

    def take(self, place: Place) -> None:
        """It goes into the engine."""

    def heads(self) -> Iterator[Place]:
        """Those that nobody of theirs comes before, in order; there is one."""

    def position(self, place: Place) -> int:
        """The place's number in the order, about: 1 is the next one."""


@define(eq=False)
class Fifo:
    """In order of arrival."""

    _places: OrderedDict[Place, None] = field(factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._places)

    def add(self, place: Place) -> None:
        """At the end."""
        self._places[place] = None

    def remove(self, place: Place) -> None:
        """From wherever it stands."""
        del self._places[place]

    take = remove

    def heads(self) -> Iterator[Place]:
        """The oldest."""
        yield next(iter(self._places))

    def position(self, place: Place) -> int:
        """Exact."""
        if next(reversed(self._places)) is place:
            return len(self._places)
        return 1 + list(self._places).index(place)


@define(eq=False)
class Fair:
    """In fair shares between the queues of each name."""

    name_of: Callable[[Place], Name]
    inner: Callable[[], Queue]
    """Makes the queue of one name."""
    _shares: Shares = field(factory=Shares)
    _queues: dict[Name, Queue] = field(factory=dict)
    _size: int = 0

    def __len__(self) -> int:
        return self._size

    def add(self, place: Place) -> None:
        """Behind the others of its name."""
        name = self.name_of(place)
        if name not in self._queues:
            self._queues[name] = self.inner()
        self._queues[name].add(place)
        self._size += 1
        self._refresh(name)

    def remove(self, place: Place) -> None:
        """Its name is not charged for it."""
        name = self.name_of(place)
        self._queues[name].remove(place)
        self._size -= 1
        self._refresh(name)

    def take(self, place: Place) -> None:
        """Charge its name; it is one of the heads."""
        name = self.name_of(place)
        self._shares.serve(name, place.weight)
        self._queues[name].take(place)
        self._size -= 1
        self._refresh(name)

    def heads(self) -> Iterator[Place]:
        """Those of each name, name by name in order: where the first one is too heavy, another may go."""
        return (place for name in self._shares for place in self._queues[name].heads())

    def position(self, place: Place) -> int:
        """As if the names took turns."""
        own = self._queues[self.name_of(place)]
        return min(self._size, len(self._queues) * own.position(place))

    def _refresh(self, name: Name) -> None:
        queue = self._queues[name]
        if len(queue):
            self._shares.put(name, next(queue.heads()))
        else:
            del self._queues[name]
            self._shares.drop(name)


def shared_by_key_and_client() -> Fair:
    """Fair between API keys, then between the clients of each key, each in order of arrival."""
    return Fair(_key, _by_client)


def _by_client() -> Fair:
    return Fair(_client, Fifo)


def _key(place: Place) -> Name:
    return place.key


def _client(place: Place) -> Name:
    return place.client
