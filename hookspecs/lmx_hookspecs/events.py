"""What happens in the server, told to whoever listens."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

STOPPING = "server_stopping"
"""The event that the kernel publishes, without data, before it closes anything: work in the background is laid down."""


class EventsService(Protocol):
    """What happens in the server, as it happens."""

    def publish(self, type: str, data: Mapping[str, Any]) -> None:
        """Tell every subscriber; never blocks."""

    def subscribe(self, after: int | None = None) -> AsyncIterator[tuple[int, str, Mapping[str, Any]]]:
        """Id, type and data of each event from now on, or of those kept that came after the event `after`.

        Subscribed at once; close it with `aclose()`. Ends when the subscriber falls too far behind. Raises Unavailable
        (`overloaded`) when there are too many. Ids grow by one; those of an earlier run of the server are lower.
        """

    def listen(self, type: str, listener: Callable[[Mapping[str, Any]], None]) -> None:
        """Call `listener` with the data of every event of that type from now on, within `publish`: none is missed.

        It must be quick, and not wait. What it raises is logged, and nobody else notices.
        """

    def oldest(self) -> int:
        """Id of the oldest event that can still be replayed; one more than the newest where there is none."""
