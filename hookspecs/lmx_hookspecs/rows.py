"""Which of the rows that wait for room a step engine takes next."""

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

MOST_OVERTAKES = 8
"""So many later, smaller rows may go ahead of one that waits for room; then everybody waits for it."""


class WaitingRow(Protocol):
    """A row that counts how often it has been overtaken."""

    overtaken: int


R = TypeVar("R", bound=WaitingRow)


def next_to_admit(waiting: Iterable[R], fits: Callable[[R], bool]) -> R | None:
    """The first in order of arrival that fits; those that it overtakes remember it."""
    overtaken: list[R] = []
    for row in waiting:
        if fits(row):
            for other in overtaken:
                other.overtaken += 1
            return row
        if row.overtaken >= MOST_OVERTAKES:
            return None
        overtaken.append(row)
    return None
