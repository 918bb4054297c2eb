"""Who may enter the engine next, and whether a target may be called at all."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import Any, Protocol

from attrs import frozen

from lmx_hookspecs.context import Context
from lmx_hookspecs.generation import Priority


@frozen(kw_only=True)
class Ticket:
    """What a scheduler knows of a request."""

    model: str
    resident: bool
    """Whether the model is loaded now."""
    fits: bool = True
    """Whether it is loaded, or could be with no other model unloaded for it."""
    weight: int = 1
    """Rows that it puts into the engine."""
    limit: int = 32
    """Rows that may run in this model at once: `models.max_concurrent_requests`, or the engine's batch size."""
    key: str | None = None
    client: str | None = None
    priority: Priority = "normal"
    deadline: float | None = None
    """On the clock of `time.monotonic`, in seconds."""


class Scheduler(Protocol):
    """Orders requests."""

    def admit(self, ticket: Ticket) -> AbstractAsyncContextManager[None]:
        """Entered when the request may run, left when it ends.

        Raises Busy, with `retry_after_s`, when the queue is full or the wait too long, and TimedOut past the deadline.
        """

    def describe(self) -> Mapping[str, Any]:
        """Queue lengths and limits now: at least `waiting`, `running` and `limit`, all integers."""


@frozen(kw_only=True)
class SchedulerSpec:
    """A scheduling policy; `scheduling.policy` names the one in use."""

    name: str
    open: Callable[[Context], Scheduler]


class Outcome(StrEnum):
    """How a guarded call ended."""

    OK = "ok"
    FAULT = "fault"
    CLIENT_ERROR = "client_error"
    CANCELLED = "cancelled"


class Guard(Protocol):
    """Stands in front of a target, such as a circuit breaker."""

    def call(self, target: str) -> AbstractAsyncContextManager[Callable[[Outcome], None]]:
        """Entered around each attempt, given a function that is told its one outcome; raises Unavailable to refuse."""

    def describe(self) -> Mapping[str, Any]:
        """State per target."""


@frozen(kw_only=True)
class GuardSpec:
    """A recipe for a guard; all active guards are entered, in name order."""

    name: str
    open: Callable[[Context], Guard]
