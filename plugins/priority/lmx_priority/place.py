"""One request's place: in the queue, and later in the engine."""

from collections.abc import Callable
from enum import StrEnum

from attrs import define, field

from lmx_hookspecs import Ticket
from lmx_hookspecs.errors import Busy
from lmx_hookspecs.generation import Priority

CLASSES: tuple[Priority, ...] = ("high", "normal", "low")
RANKS = {name: rank for rank, name in enumerate(CLASSES)}


class Standing(StrEnum):
    """Where a place stands."""

    WAITING = "waiting"
    RUNNING = "running"
    GONE = "gone"


def _nobody() -> None:
    """Nobody waits for this place."""


@define(eq=False)
class Place:
    """What the policy knows of one request."""

    ticket: Ticket
    number: int
    """In order of arrival, over all models."""
    arrived_s: float
    key: str | None = field(init=False)
    client: str | None = field(init=False)
    weight: int = field(init=False)
    rank: int = field(init=False)
    """Of the class that it came with: 0 is the highest."""
    level: int = field(init=False)
    """The rank that it has by now; ageing lowers it."""
    standing: Standing = field(default=Standing.WAITING, init=False)
    started_s: float = field(default=0.0, init=False)
    typical: bool = field(default=False, init=False)
    """Its service time tells of those to come: no load is in it."""
    passed_rows: int = field(default=0, init=False)
    """Rows of others that went first because this request was too heavy for the room there was."""
    key_passed_rows: int = field(default=0, init=False)
    """Rows of its own key that went first because it was too heavy for what the key's limit had left."""
    refusal: Busy | None = field(default=None, init=False)
    """Why it had to make way."""
    wake: Callable[[], None] = field(default=_nobody, init=False)
    """Called once when a waiting request runs, or has to make way."""

    def __attrs_post_init__(self) -> None:
        ticket = self.ticket
        self.key, self.client, self.weight = ticket.key, ticket.client, ticket.weight
        self.rank = self.level = RANKS[ticket.priority]
