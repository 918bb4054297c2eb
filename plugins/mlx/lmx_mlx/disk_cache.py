"""A folder of KV caches that outlives the worker: found by prefix, read and written by threads, bounded in bytes.

Several workers may share the folder. A file appears whole, by a rename, and is never changed afterwards; whoever finds
that one is gone goes on without it.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from attrs import define, field, frozen

from lmx_hookspecs import Logger
from lmx_mlx import cache_files
from lmx_mlx.cache_files import CacheFile, DamagedFile, Listed, common_length
from lmx_mlx.disk_room import make_room

SUFFIX = ".kv.safetensors"
SHORTEST_GAIN = 32
"""Reading a file pays off if it saves the model so many tokens at least."""
LONGEST_WAIT_S = 0.05
WRITES_FAILED = "prefix_cache_not_written"
DROPPED = "prefix_cache_file_dropped"


@frozen(eq=False)
class Fetch:
    """A file on its way into memory."""

    path: Path
    tokens: int
    """So many of the prompt's it will serve."""
    reading: "Future[CacheFile]"

    @property
    def pending(self) -> bool:
        """Whether it is still being read."""
        return not self.reading.done()


@define(eq=False, kw_only=True)
class DiskCache:
    """The files of one model; every method is called by the engine's thread, and none waits for the disk for long."""

    root: Path
    """Shared by all models, each with a folder of its own in it."""
    identity: str
    max_bytes: int
    """Of all models together."""
    log: Logger
    hits: int = 0
    misses: int = 0
    evictions: int = 0
    written: int = 0
    dropped: int = 0
    total_bytes: int = 0
    _listed: dict[Path, Listed] = field(factory=dict, init=False)
    _listed_ns: int = field(default=-1, init=False)
    _threads: ThreadPoolExecutor = field(init=False)
    _writer: ThreadPoolExecutor = field(init=False)
    _writing: "Future[tuple[int, int]] | None" = field(default=None, init=False)

    @_threads.default
    def _reading_thread(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, "prefix-cache-read")

    @_writer.default
    def _writing_thread(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, "prefix-cache-write")

    @property
    def folder(self) -> Path:
        """Of this model, adapter and version."""
        return self.root / self.identity

    @property
    def busy(self) -> bool:
        """Whether a file is being written; the next has to wait."""
        if self._writing is not None and self._writing.done():
            self._written(self._writing)
            self._writing = None
        return self._writing is not None

    def open(self) -> None:
        """Look at what is there, and bring it within the bound; raises OSError where the folder cannot be made."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder.mkdir(exist_ok=True, mode=0o700)
        self._count(make_room(self.root, self.max_bytes, SUFFIX))
        self._refresh()

    def fetch(self, prompt: Sequence[int], *, longer_than: int, largest_bytes: float) -> Fetch | None:
        """Begin to read the file that serves most of the prompt, if it serves so much more than memory does."""
        self._refresh()
        wanted = np.asarray(prompt[:-1], dtype=np.int32)
        usable = {
            path: _usable(listed, wanted) for path, listed in self._listed.items() if listed.size_bytes <= largest_bytes
        }
        best = max(usable, key=usable.__getitem__, default=None)
        if best is None or usable[best] < longer_than + SHORTEST_GAIN:
            self.misses += 1
            return None
        return Fetch(best, usable[best], self._threads.submit(_read, best, self.identity))

    def take(self, fetch: Fetch) -> CacheFile | None:
        """What was read; None, and a line in the log, where the file was damaged."""
        try:
            file = fetch.reading.result()
        except FileNotFoundError:  # another worker has made room
            self._listed.pop(fetch.path, None)
        except DamagedFile as error:
            self.drop(fetch.path, str(error))
        except OSError as error:
            self.log.warning("prefix_cache_not_read", file=str(fetch.path), reason=str(error))
        else:
            self.hits += 1
            return file
        self.misses += 1
        return None

    def store(self, file: CacheFile) -> None:
        """Begin to write it; only while nothing is being written."""
        path = self.folder / f"{_name(file.tokens)}{SUFFIX}"
        superseded = [other for other, listed in self._listed.items() if other != path and _covers(file, listed)]
        self._writing = self._writer.submit(self._write, path, file, superseded)

    def holds(self, tokens: Any) -> bool:
        """Whether there is a file of exactly these tokens."""
        return self.folder / f"{_name(tokens)}{SUFFIX}" in self._listed

    def settle(self, timeout_s: float) -> None:
        """Wait for the file that is being written, not for ever."""
        if self._writing is not None:
            wait_for([self._writing], timeout_s)

    def drop(self, path: Path, reason: str) -> None:
        """Delete a file that is of no use, and say so."""
        self.dropped += 1
        self._listed.pop(path, None)
        self.log.warning(DROPPED, file=str(path), reason=reason)
        with suppress(OSError):
            path.unlink(missing_ok=True)

    def describe(self) -> dict[str, Any]:
        """Counts and bytes, for people; `bytes` are this model's, `total_bytes` those of all at the last look."""
        waiting = self.busy
        return {
            "writing": waiting,
            "folder": str(self.folder),
            "entries": len(self._listed),
            "bytes": sum(listed.size_bytes for listed in self._listed.values()),
            "total_bytes": self.total_bytes,
            "max_bytes": self.max_bytes,
            "hits": self.hits,
            "misses": self.misses,
            "written": self.written,
            "evictions": self.evictions,
            "dropped": self.dropped,
        }

    def close(self) -> None:
        """Begin nothing further."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._writer.shutdown(wait=False, cancel_futures=True)

    def _refresh(self) -> None:
        """Read the heads of files that have come; forget those that have gone. Cheap while nothing has changed."""
        try:
            changed_ns = self.folder.stat().st_mtime_ns
        except FileNotFoundError:
            self._listed.clear()
            return
        if changed_ns == self._listed_ns:
            return
        self._listed_ns = changed_ns
        present = set(cache_files.names(self.folder, SUFFIX))
        for path in self._listed.keys() - present:
            del self._listed[path]
        for path in present - self._listed.keys():
            self._list(path)

    def _list(self, path: Path) -> None:
        try:
            self._listed[path] = cache_files.read_head(path, self.identity)
        except DamagedFile as error:
            self.drop(path, str(error))
        except OSError:
            return  # gone again, or not ours to read

    def _write(self, path: Path, file: CacheFile, superseded: Sequence[Path]) -> tuple[int, int]:
        """In the writing thread. Returns what `make_room` does."""
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            self.folder.mkdir(exist_ok=True, mode=0o700)
            cache_files.write(partial, file)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        for other in superseded:
            other.unlink(missing_ok=True)
        return make_room(self.root, self.max_bytes, SUFFIX)

    def _written(self, writing: "Future[tuple[int, int]]") -> None:
        error = writing.exception()
        if error is not None:
            self.log.warning(WRITES_FAILED, folder=str(self.folder), reason=str(error))
            return
        self.written += 1
        self._count(writing.result())
        self._refresh()

    def _count(self, made: tuple[int, int]) -> None:
        evicted, self.total_bytes = made
        self.evictions += evicted


def wait_a_little(fetches: Iterable[Fetch | None]) -> None:
    """While nothing else is to be done: until one of them has been read, and not for long."""
    reading = [fetch.reading for fetch in fetches if fetch is not None]
    if reading:
        wait_for(reading, LONGEST_WAIT_S, return_when=FIRST_COMPLETED)


def _read(path: Path, identity: str) -> CacheFile:
    """In the reading thread; a file that is used counts as new."""
    file = cache_files.read(path, identity)
    with suppress(OSError):
        os.utime(path)
    return file


def _usable(listed: Listed, wanted: Any) -> int:
    common = common_length(listed.tokens, wanted)
    return common if listed.cuttable or common == len(listed.tokens) else 0


def _covers(file: CacheFile, listed: Listed) -> bool:
    return file.cuttable and common_length(file.tokens, listed.tokens) == len(listed.tokens)


def _name(tokens: Any) -> str:
    return hashlib.sha256(np.asarray(tokens, dtype="<i4").tobytes()).hexdigest()[:32]
