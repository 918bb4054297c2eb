"""What happens in the server, told to whoever listens; a listener that falls behind is cut off, never waited for."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from itertools import islice
from typing import Any

from attrs import define, field, frozen

from lmx.log import logger
from lmx_hookspecs import Logger
from lmx_hookspecs.errors import Unavailable

KEPT = 1_000
QUEUE_LENGTH = 100
MAX_SUBSCRIBERS = 50
Listener = Callable[[Mapping[str, Any]], None]


@frozen
class Event:
    """One thing that happened; `data` holds also the `timestamp`, in Unix seconds."""

    id: int
    type: str
    data: Mapping[str, Any]


@define(eq=False)
class Subscription:
    """The events of one subscriber."""

    _waiting: deque[Event]
    _room: int
    """How many events may wait."""
    _leave: Callable[["Subscription"], None]
    _open: bool = True
    _waiter: "asyncio.Future[None] | None" = None

    def __aiter__(self) -> AsyncIterator[tuple[int, str, Mapping[str, Any]]]:
        return self

    async def __anext__(self) -> tuple[int, str, Mapping[str, Any]]:
        """The next event; ends once this subscriber was cut off and has had what waited for it."""
        while not self._waiting:
            if not self._open:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        event = self._waiting.popleft()
        return event.id, event.type, event.data

    async def aclose(self) -> None:
        """Listen no more."""
        self._waiting.clear()
        self._end()

    def put(self, event: Event) -> bool:
        """Whether there was room; where there is none, nothing more is taken."""
        if len(self._waiting) >= self._room:
            self._end()
            return False
        self._waiting.append(event)
        self._wake()
        return True

    def _end(self) -> None:
        self._open = False
        self._leave(self)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


@define(eq=False)
class EventBus:
    """Publish and subscribe. Ids begin at the Unix time in milliseconds, so above those of earlier runs."""

    queue_length: int = QUEUE_LENGTH
    """Events that may wait for one subscriber beside those that it had replayed."""
    kept: int = KEPT
    """Events that can be replayed."""
    max_subscribers: int = MAX_SUBSCRIBERS
    clock: Callable[[], float] = time.time
    log: Logger = field(factory=lambda: logger("events"))
    _next_id: int = field(init=False)
    _history: deque[Event] = field(init=False)
    _subscribers: set[Subscription] = field(factory=set)
    _listeners: dict[str, list[Listener]] = field(factory=dict)
    _cut_off: int = 0

    @_next_id.default
    def _first_id(self) -> int:
        return int(self.clock() * 1000)

    @_history.default
    def _empty_history(self) -> deque[Event]:
        return deque(maxlen=self.kept)

    def publish(self, type: str, data: Mapping[str, Any]) -> None:
        """Tell every listener and subscriber; a subscriber that has no room left is cut off."""
        event = Event(self._next_id, type, {**data, "timestamp": round(self.clock(), 3)})
        self._next_id += 1
        self._history.append(event)
        for subscription in list(self._subscribers):
            self._cut_off += not subscription.put(event)
        for listener in self._listeners.get(type, ()):
            self._tell(listener, event)

    def listen(self, type: str, listener: Listener) -> None:
        """Call `listener` with the data of every event of that type from now on."""
        self._listeners.setdefault(type, []).append(listener)

    def subscribe(self, after: int | None = None) -> Subscription:
        """Events from now on, or behind those kept that came after `after`; raises Unavailable beyond the limit."""
        if len(self._subscribers) >= self.max_subscribers:
            raise Unavailable(
                f"{self.max_subscribers} clients follow the events already; close one of them", code="overloaded"
            )
        replayed = deque(self._after(after))
        subscription = Subscription(replayed, len(replayed) + self.queue_length, self._subscribers.discard)
        self._subscribers.add(subscription)
        return subscription

    def oldest(self) -> int:
        """Id of the oldest event that can still be replayed; one more than the newest where there is none."""
        return self._history[0].id if self._history else self._next_id

    def describe(self) -> Mapping[str, Any]:
        """How many listen, and what could be replayed."""
        return {
            "subscribers": len(self._subscribers),
            "cut_off": self._cut_off,
            "kept": len(self._history),
            "next_id": self._next_id,
        }

    def _tell(self, listener: Listener, event: Event) -> None:
        try:
            listener(event.data)
        except Exception as error:  # a plugin's bug must not fail whoever published
            self.log.error("listener_failed", type=event.type, exc_info=error)

    def _after(self, after: int | None) -> Iterable[Event]:
        if after is None:
            return ()
        return islice(self._history, min(max(0, after + 1 - self.oldest()), len(self._history)), None)
