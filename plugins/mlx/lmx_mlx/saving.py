"""What of the prefix cache goes to disk, and when: entries that have stayed a while, a slice between two steps.

A conversation makes a longer entry with every turn; waiting a little spares the disk most of the short ones.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, field

from lmx_mlx import kv_cache, packing
from lmx_mlx.cache_files import CacheFile, Stored
from lmx_mlx.disk_cache import DiskCache, Fetch
from lmx_mlx.prefix_cache import CacheEntry, PrefixCache

SETTLED_S = 5.0
LOOK_EVERY_S = 1.0
SLICE_BYTES = 8 * 1024 * 1024
"""Copied between two steps: a few milliseconds."""
HEAD_BYTES = 64 * 1024
"""What a file may have beside an entry's numbers."""
CLOSE_S = 1.2
"""A worker that is told to stop has two seconds for everything."""


@define(eq=False)
class Packing:
    """An entry that is being copied out of MLX's memory."""

    entry: CacheEntry
    layouts: list[Any] = field(factory=list)
    arrays: list[Stored] = field(factory=list)

    @property
    def complete(self) -> bool:
        """Whether all layers are copied."""
        return len(self.layouts) == len(self.entry.layers)

    def advance(self) -> None:
        """Copy the next slice."""
        copied = 0
        while not self.complete and copied < SLICE_BYTES:
            layout, arrays = packing.pack(self.entry.layers[len(self.layouts)])
            self.layouts.append(layout)
            self.arrays.extend(arrays)
            copied += sum(stored.array.nbytes for stored in arrays)


@define(eq=False, kw_only=True)
class DiskTier:
    """The disk behind a prefix cache."""

    memory: PrefixCache
    disk: DiskCache
    clock: Callable[[], float] = time.monotonic
    _since: dict[int, float] = field(factory=dict, init=False)
    """When each entry of the memory was first seen."""
    _done: set[int] = field(factory=set, init=False)
    """Entries that are on disk, or cannot be."""
    _looked_s: float = field(default=0.0, init=False)
    _packing: Packing | None = field(default=None, init=False)

    def fetch(self, prompt: Sequence[int]) -> Fetch | None:
        """Begin to read what serves the prompt better than memory does."""
        held = self.memory.held(prompt)
        return self.disk.fetch(prompt, longer_than=held, largest_bytes=self.memory.largest_bytes)

    def take(self, fetch: Fetch) -> None:
        """Put what was read into memory, where prompts find it."""
        file = self.disk.take(fetch)
        if file is None:
            return
        try:
            layers = packing.unpack(file.layout, file.arrays)
            kv_cache.evaluate(layers)
        except Exception as error:  # a file of another making, with a checksum that is right
            self.disk.drop(fetch.path, f"it holds no cache ({error!r})")
            return
        number = self.memory.put(file.tokens, layers)
        if number is not None:
            self._done.add(number)

    def work(self) -> None:
        """Between two steps: copy a slice of an entry, or see whether one is due."""
        if self._packing is not None:
            self._advance(self._packing)
        elif not self.disk.busy and self.clock() >= self._looked_s + LOOK_EVERY_S:
            self._looked_s = self.clock()
            self._packing = self._next(SETTLED_S)

    def flush(self, most_s: float) -> None:
        """Write everything that is not on disk yet, for so long at most."""
        until = self.clock() + most_s
        while self.clock() < until:
            if self.disk.busy:
                self.disk.settle(until - self.clock())
                continue
            self._packing = self._packing or self._next(0.0)
            if self._packing is None:
                return
            self._advance(self._packing)

    def close(self) -> None:
        """Save what a moment is enough for."""
        self.flush(CLOSE_S)
        self.disk.close()

    def _advance(self, packed: Packing) -> None:
        packed.advance()
        if packed.complete:
            entry = packed.entry
            self._packing = None
            self.disk.store(
                CacheFile(
                    identity=self.disk.identity,
                    tokens=entry.tokens,
                    layout=packed.layouts,
                    arrays=packed.arrays,
                    cuttable=kv_cache.can_trim(entry.layers) and not kv_cache.untrimmable(entry.layers),
                )
            )

    def _next(self, settled_s: float) -> Packing | None:
        """The oldest entry that has been in memory for so long and is not on disk."""
        entries = self.memory.entries
        now_s = self.clock()
        self._since = {number: self._since.get(number, now_s) for number in entries}
        self._done &= entries.keys()
        for number, entry in entries.items():
            if number in self._done or now_s - self._since[number] < settled_s:
                continue
            self._done.add(number)
            if self._is_wanted(entry):
                return Packing(entry)
        return None

    def _is_wanted(self, entry: CacheEntry) -> bool:
        fits = packing.can_pack(entry.layers) and entry.size_bytes + HEAD_BYTES <= self.disk.max_bytes
        return fits and not self.disk.holds(entry.tokens)
