"""What happens in the server, told to whoever listens; a listener that falls behind is cut off, never waited for."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from attrs import define, field, frozen


@frozen
class Event:
    """One thing that happened; ids grow by one."""

    id: int
    type: str
    data: Mapping[str, Any]


@define(eq=False)
class EventBus:
    """Publish and subscribe, each subscriber with a bounded queue."""

    queue_length: int = 100
    _ids: Iterator[int] = field(factory=lambda: itertools.count(1))
    _subscribers: set[asyncio.Queue[Event | None]] = field(factory=set)

    def publish(self, type: str, data: Mapping[str, Any]) -> None:
        """Tell every subscriber; one whose queue is full is told to go by a closing None."""
        event = Event(next(self._ids), type, data)
        for queue in list(self._subscribers):
            if queue.qsize() < self.queue_length:
                queue.put_nowait(event)
            else:
                self._subscribers.discard(queue)
                queue.put_nowait(None)

    async def subscribe(self) -> AsyncIterator[tuple[int, str, Mapping[str, Any]]]:
        """Events from now on; ends when this subscriber has fallen `queue_length` events behind."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._subscribers.add(queue)
        try:
            while (event := await queue.get()) is not None:
                yield event.id, event.type, event.data
        finally:
            self._subscribers.discard(queue)

    def describe(self) -> Mapping[str, Any]:
        """How many listen."""
        return {"subscribers": len(self._subscribers)}
