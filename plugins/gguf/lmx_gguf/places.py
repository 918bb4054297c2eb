"""Where rows run: sequences of the KV cache, room set aside for what they will draw, and what stays of them."""

from collections.abc import Iterable, Mapping
from math import inf
from typing import Any

import numpy as np
from attrs import define, field

from lmx_gguf.kv_budget import STEP, KvBudget
from lmx_gguf.prefix_cache import Found, PrefixCache, common_length
from lmx_gguf.rows import Row
from lmx_gguf.sequences import Sequences

SHORTEST_TWIN = 64
"""A row waits for another one's prefill only if they have so many tokens in common."""


@define(eq=False, kw_only=True)
class Places:
    """Keeps running rows and kept prefixes within the cells that there are: prefixes go before a row has to wait."""

    sequences: Sequences
    prefixes: PrefixCache
    budget: KvBudget
    most_kept: float = inf
    """Cells that kept prefixes may have."""
    _running: dict[int, Row] = field(factory=dict, init=False)
    """By sequence."""

    @property
    def rows(self) -> list[Row]:
        """Those that run."""
        return list(self._running.values())

    @property
    def pending(self) -> int:
        """Cells set aside and not taken yet."""
        return sum(row.pending for row in self._running.values())

    @property
    def excess(self) -> int:
        """Cells by which rows and prefixes together exceed what there is; below 0 where some are free."""
        return self.sequences.cells.used + self.pending - self.budget.cells

    @property
    def kept(self) -> int:
        """Cells that only kept prefixes have."""
        return self.sequences.cells.used - self.sequences.cells.used_by(self._running)

    def fits(self, row: Row) -> bool:
        """Whether it could run now, if need be with no prefix kept but its own."""
        found = self._find(row)
        own = min(row.wanted, self.budget.longest_row)
        if found is not None and found.sequence in self._running:
            own -= found.length
        return self.sequences.cells.used_by(self._running) + self.pending + own <= self.budget.cells

    def admit(self, row: Row) -> None:
        """Give it a sequence, which begins with what others have computed of its prompt."""
        found = self._find(row)
        self.prefixes.count(_ids(row), found)
        length = 0 if found is None else found.length
        row.sequence = self.sequences.take(None if found is None else found.sequence, length)
        row.computed = length
        row.cached = length if row.drawn == 0 else row.cached
        row.limit = min(row.wanted, self.budget.longest_row)
        self._running[row.sequence] = row
        self.make_room()

    def waits_for_other(self, row: Row) -> bool:
        """Whether a row that runs is about to compute what this one could share."""
        prompt = row.prompt
        for other in self._running.values():
            if other.decoding or other.drawn or len(prompt) <= SHORTEST_TWIN:
                continue
            common = min(common_length(other.prompt, prompt), len(prompt) - 1)
            if common > max(SHORTEST_TWIN, other.computed) and self.prefixes.can_cut:
                return True
        return False

    def grow(self, row: Row, drafts: int) -> None:
        """Set the next cells aside, where it is about to need them."""
        if len(row.tokens) + drafts > row.limit:
            row.limit = min(len(row.tokens) + drafts + STEP, self.budget.longest_row)

    def make_room(self) -> None:
        """Drop prefixes, the least recently used first, until rows and prefixes fit."""
        while self.excess > 0 and len(self.prefixes):
            self.sequences.drop(self.prefixes.evict())

    def leave(self, row: Row) -> None:
        """A row ends, is cancelled or gives way: what it has computed stays for others, within bounds."""
        sequence = self._take_out(row)
        if sequence is None:
            return
        self.sequences.drop_all(self.prefixes.keep(sequence, row.tokens[: row.computed]))
        while self.kept > self.most_kept and len(self.prefixes):
            self.sequences.drop(self.prefixes.evict())
        self.make_room()
        row.computed = 0

    def discard(self, rows: Iterable[Row]) -> None:
        """Rows have failed: nobody knows what their sequences hold."""
        for row in rows:
            sequence = self._take_out(row)
            if sequence is not None:
                self.sequences.drop(sequence)

    def clear(self) -> None:
        """Forget everything."""
        self.discard(self.rows)
        self.sequences.drop_all(self.prefixes)
        self.prefixes.clear()

    def describe(self) -> Mapping[str, Any]:
        """The prefix cache for people."""
        return {
            "hits": self.prefixes.hits,
            "misses": self.prefixes.misses,
            "entries": len(self.prefixes),
            "evictions": self.prefixes.evictions,
            "bytes": self.kept * self.budget.bytes_per_token,
            "last_miss": self.prefixes.last_miss,
        }

    def _find(self, row: Row) -> Found | None:
        running = {sequence: other.held for sequence, other in self._running.items()} if self.prefixes.can_cut else {}
        return self.prefixes.find(_ids(row), running)

    def _take_out(self, row: Row) -> int | None:
        sequence, row.sequence = row.sequence, None
        if sequence is not None:
            del self._running[sequence]
        return sequence


def _ids(row: Row) -> Any:
    return row.prompt if row.drawn == 0 else np.asarray(row.tokens, dtype=np.int32)
