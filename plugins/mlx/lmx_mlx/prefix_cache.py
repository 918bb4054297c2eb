"""KV caches of finished rows, found again by the longest prefix that a new prompt shares with them.

mlx-lm's `LRUPromptCache` does not fit: it orders its entries by insertion instead of use, and a search takes time
quadratic in the rest of the entry it finds (one second at 30,000 tokens), in which no row would get a token.
"""

import copy
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

import numpy as np
from attrs import define, field, frozen

from lmx_mlx import kv_cache
from lmx_mlx.absences import Absences
from lmx_mlx.cache_files import common_length

SHORTEST_PREFIX = 32
"""Below it, copying a cache costs more than computing it again."""

SHORTEST_KEPT = 64
"""Rows of fewer tokens are not worth an entry."""
MOST_ENTRIES = 512
"""Bounds the time of a search, which looks at each."""


@frozen(kw_only=True)
class CacheEntry:
    """The KV cache of these tokens, all layers; its arrays are never written to."""

    tokens: Any
    layers: list[Any]
    size_bytes: int


@define(kw_only=True)
class PrefixCache:
    """Least recently used entries leave first, as soon as their real bytes exceed `max_bytes`."""

    max_bytes: int
    room_bytes: float = inf
    """What the cache may take at the moment, where that is less."""
    hits: int = 0
    misses: int = 0
    evictions: int = 0
    size_bytes: int = 0
    last_miss: str | None = None
    """Why the last prompt that found nothing found nothing, for people."""
    _entries: OrderedDict[int, CacheEntry] = field(factory=OrderedDict, init=False)
    _absences: Absences = field(factory=Absences, init=False)
    _next_id: int = field(default=0, init=False)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def entries(self) -> Mapping[int, CacheEntry]:
        """Those there are, by number, the least recently used first."""
        return self._entries

    @property
    def largest_bytes(self) -> float:
        """What an entry may take at the moment."""
        return min(self.max_bytes, self.room_bytes)

    def held(self, prompt: Sequence[int]) -> int:
        """How many tokens of the prompt a cache here could serve; nothing counts as used."""
        wanted = _wanted(prompt)
        return max((_usable(entry, wanted) for entry in self._entries.values()), default=0)

    def find(self, prompt: Sequence[int]) -> tuple[list[Any] | None, int]:
        """A cache to continue, and how many tokens of the prompt it holds: at least one is always left to compute."""
        wanted = _wanted(prompt)
        usable = {number: _usable(entry, wanted) for number, entry in self._entries.items()}
        best = max(usable, key=usable.__getitem__, default=None)
        if best is None or usable[best] < SHORTEST_PREFIX:
            self._miss(wanted)
            return None, 0
        self.hits += 1
        self._entries.move_to_end(best)
        return _continued(self._entries[best], usable[best]), usable[best]

    def put(self, tokens: Sequence[int], layers: list[Any]) -> int | None:
        """Keep the cache of these tokens, and return its number; entries that it extends make room for it."""
        held = np.asarray(tokens, dtype=np.int32)
        entry = CacheEntry(tokens=held, layers=layers, size_bytes=held.nbytes + kv_cache.size_bytes(layers))
        if self._covers(held):
            return None
        if entry.size_bytes > self.largest_bytes:
            self._absences.note(held, f"its {entry.size_bytes} bytes did not fit into {int(self.largest_bytes)}")
            return None
        kv_cache.evaluate(layers)
        self._drop_prefixes_of(entry)
        number = self._next_id
        self._entries[number] = entry
        self._next_id += 1
        self.size_bytes += entry.size_bytes
        self._evict()
        return number if number in self._entries else None

    def keep(self, tokens: Sequence[int], layers: list[Any]) -> None:
        """Keep the cache of a row that has ended, if it is worth an entry."""
        if len(tokens) >= SHORTEST_KEPT:
            self.put(tokens, layers)
        else:
            reason = f"rows shorter than {SHORTEST_KEPT} tokens are not kept"
            self._absences.note(np.asarray(tokens, dtype=np.int32), reason)

    def keep_within(self, room_bytes: float) -> None:
        """Take no more than so many bytes from now on, nor than `max_bytes`."""
        self.room_bytes = room_bytes
        self._evict()

    def describe(self) -> dict[str, Any]:
        """Counts and bytes, for people."""
        return {
            "entries": len(self),
            "bytes": self.size_bytes,
            "max_bytes": self.max_bytes,
            "hits": self.hits,
            "misses": self.misses,
            "evictions": self.evictions,
            "last_miss": self.last_miss,
        }

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self.size_bytes = 0

    def _miss(self, wanted: Any) -> None:
        if len(wanted) >= SHORTEST_PREFIX:
            self.misses += 1
        held = [entry.tokens for entry in self._entries.values()]
        self.last_miss = self._absences.reason(wanted, held, SHORTEST_PREFIX)

    def _evict(self) -> None:
        while self.size_bytes > self.largest_bytes or len(self) > MOST_ENTRIES:
            oldest = next(iter(self._entries))
            self._absences.note(self._entries[oldest].tokens, "it was evicted to make room")
            self._drop(oldest)
            self.evictions += 1

    def _covers(self, tokens: Any) -> bool:
        covering = (number for number, entry in self._entries.items() if _usable(entry, tokens) == len(tokens))
        found = next(covering, None)
        if found is not None:
            self._entries.move_to_end(found)
        return found is not None

    def _drop_prefixes_of(self, longer: CacheEntry) -> None:
        if not kv_cache.can_trim(longer.layers):
            return
        for number, entry in list(self._entries.items()):
            if common_length(entry.tokens, longer.tokens) == len(entry.tokens):
                self._drop(number)

    def _drop(self, number: int) -> None:
        self.size_bytes -= self._entries.pop(number).size_bytes


def _wanted(prompt: Sequence[int]) -> Any:
    """What a cache may hold of it: the last token is always computed."""
    return np.asarray(prompt[:-1], dtype=np.int32)


def _usable(entry: CacheEntry, wanted: Any) -> int:
    common = common_length(entry.tokens, wanted)
    return common if common == len(entry.tokens) or kv_cache.can_trim(entry.layers) else 0


def _continued(entry: CacheEntry, length: int) -> list[Any]:
    layers = copy.deepcopy(entry.layers)  # MLX arrays are shared, not copied
    kv_cache.trim(layers, len(entry.tokens) - length)
    return layers
