"""What the store needs of the two legs of a search: each is an index that follows the database, from wherever it is."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from lmx_hybrid.positions import Position

SLICE = 256
"""Chunks that are indexed in one go; other collections get their turn in between."""


class Leg(Protocol):
    """Either of them. Its methods are called in any thread; one at a time changes it."""

    @property
    def position(self) -> Position:
        """How far it has followed the database: what stands before can be found."""

    @property
    def settling(self) -> bool:
        """Whether there is work that no search waits for."""

    def step(self, target: Position) -> None:
        """Follow the database some more, unless another thread has come this far meanwhile."""

    def settle(self) -> None:
        """Do some of the work that no search waits for."""

    def checkpoint(self, flush: Callable[[], None]) -> Position | None:
        """Write down what takes long to make; `flush` makes the database durable up to here.

        Returns how far the files have followed the database, or None where this leg needs no notes of deletions.
        """

    def close(self) -> None:
        """Let go of everything."""

    def drop(self) -> None:
        """Let go of everything, and delete its files."""

    def describe(self) -> Mapping[str, Any]:
        """For operators."""
