"""Sequences of rows that have ended, kept in the KV cache: prompts that begin like one of them share its cells."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from attrs import define, field, frozen

SHORTEST_PREFIX = 32
"""Below it, sharing gains less than the search costs."""


@frozen
class Found:
    """Where a prompt can go on from: a sequence, and how many tokens of the prompt it holds."""

    sequence: int
    length: int


@define(eq=False, kw_only=True)
class PrefixCache:
    """The tokens of each kept sequence, the least recently used first. Knows nothing of llama.cpp."""

    most_entries: int
    can_cut: bool
    """Whether a sequence can be shared in part; states can only be shared whole."""
    shortest_kept: int = 64
    """Rows of fewer tokens are not worth a place."""
    hits: int = 0
    misses: int = 0
    evictions: int = 0
    last_miss: str | None = None
    _entries: OrderedDict[int, Any] = field(factory=OrderedDict, init=False)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[int]:
        return iter(list(self._entries))

    def find(self, prompt: Any, running: Mapping[int, Any]) -> Found | None:
        """The sequence, kept or running, that shares the most with a prompt: an array of ids.

        One token of the prompt at least is left to compute.
        """
        wanted = prompt[:-1]
        lengths = {number: self._usable(held, wanted) for number, held in {**self._entries, **running}.items()}
        best = max(lengths, key=lengths.__getitem__, default=None)
        if best is None or lengths[best] < SHORTEST_PREFIX:
            return None
        return Found(best, lengths[best])

    def count(self, prompt: Any, found: Found | None) -> None:
        """A row was admitted with what was found for it."""
        if found is not None:
            self.hits += 1
            if found.sequence in self._entries:
                self._entries.move_to_end(found.sequence)
        elif len(prompt) > SHORTEST_PREFIX:
            self.misses += 1
            self.last_miss = self._reason(prompt)

    def keep(self, sequence: int, tokens: Sequence[int]) -> list[int]:
        """Keep a sequence; returns those to be dropped for it, which may be that one itself."""
        held = np.asarray(tokens, dtype=np.int32)
        if self.most_entries == 0 or len(held) < self.shortest_kept or self._covers(held):
            return [sequence]
        dropped = [number for number, other in self._entries.items() if self.can_cut and _begins(held, other)]
        for number in dropped:
            del self._entries[number]
        self._entries[sequence] = held
        while len(self) > self.most_entries:
            dropped.append(self.evict())
        return dropped

    def evict(self) -> int:
        """Forget the least recently used one, and return its number."""
        number, _ = self._entries.popitem(last=False)
        self.evictions += 1
        return number

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()

    def _usable(self, held: Any, wanted: Any) -> int:
        common = common_length(held, wanted)
        return common if self.can_cut or common == len(held) else 0

    def _covers(self, tokens: Any) -> bool:
        if not self.can_cut:
            return False
        covering = next((number for number, held in self._entries.items() if _begins(held, tokens)), None)
        if covering is not None:
            self._entries.move_to_end(covering)
        return covering is not None

    def _reason(self, prompt: Any) -> str:
        if not self._entries:
            return "nothing is kept yet" if self.most_entries else "the settings keep nothing"
        longest = max(common_length(held, prompt) for held in self._entries.values())
        if longest >= SHORTEST_PREFIX and not self.can_cut:
            return "this model's states continue whole entries only, and none begins the prompt"
        return f"no entry has more than {longest} tokens at its beginning in common with the prompt"


def common_length(left: Any, right: Any) -> int:
    """How many ids two arrays have in common at their beginning."""
    length = min(len(left), len(right))
    different = np.flatnonzero(left[:length] != right[:length])
    return int(different[0]) if different.size else length


def _begins(whole: Any, beginning: Any) -> bool:
    return len(beginning) <= len(whole) and bool((whole[: len(beginning)] == beginning).all())
