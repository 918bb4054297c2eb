"""Speculative decoding: guesses that the model checks in the same step in which it computes the next token.

Each guess counts only where it is the token that the row draws there anyway, with its own seed: the answer is the same
with and without (greedy: Leviathan et al. 2023, arXiv 2211.17192).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from attrs import define, field

from lmx_gguf.llama_context import DecodeError
from lmx_gguf.rows import Row

MOST_ROWS = 4
"""With more rows a step has enough to compute, and guesses that fail cost more than those that hold gain."""


class Drafter(Protocol):
    """Guesses how rows go on."""

    @property
    def kind(self) -> str:
        """What it guesses by."""

    def draft(self, rows: Sequence[Row], count: int) -> Mapping[int, Sequence[int]]:
        """At most `count` tokens for each row, by its id; rows that it has no idea of are left out."""

    def forget(self, sequence: int) -> None:
        """The row that had this sequence is gone."""


@define(eq=False)
class Speculation:
    """One drafter or none, and what became of its guesses."""

    drafter: Drafter | None = None
    count_per_row: int = 0
    _drafted: int = field(default=0, init=False)
    _accepted: int = field(default=0, init=False)
    _failure: str | None = field(default=None, init=False)
    """Why there are no more guesses."""

    def drafts(self, rows: Sequence[Row]) -> Mapping[int, Sequence[int]]:
        """Guesses for rows that are decoded, by their id."""
        if self.drafter is None or self._failure is not None or not 0 < len(rows) <= MOST_ROWS:
            return {}
        try:
            return self.drafter.draft(rows, self.count_per_row)
        except DecodeError as error:  # answers do not depend on guesses: they go on without
            self._failure = str(error)
            return {}

    def count(self, *, drafted: int, accepted: int) -> None:
        """So many guesses were checked, so many held."""
        self._drafted += drafted
        self._accepted += accepted

    def forget(self, sequence: int) -> None:
        """The row that had this sequence is gone."""
        if self.drafter is not None:
            self.drafter.forget(sequence)

    def describe(self) -> Mapping[str, Any] | None:
        """For people; None without a drafter."""
        if self.drafter is None:
            return None
        rate = self._accepted / self._drafted if self._drafted else None
        return {
            "kind": self.drafter.kind,
            "drafted": self._drafted,
            "accepted": self._accepted,
            "acceptance_rate": rate and round(rate, 4),
            "failure": self._failure,
        }
