"""Keeps a folder of cache files within its bound, whoever wrote them: the least recently used go first."""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from attrs import frozen

ABANDONED_S = 3600.0
"""A file that has been half-written for so long was left by a worker that died."""


@frozen
class Aged:
    """A file, when it was last used, and what it takes."""

    used_ns: int
    path: Path
    size_bytes: int


def make_room(root: Path, max_bytes: int, suffix: str) -> tuple[int, int]:
    """Delete until no more than `max_bytes` are left; returns how many files went, and the bytes that stay.

    Two workers may do this at once: a file that is gone already was deleted by the other, and counts there.
    """
    _sweep(root)
    files = sorted(_files(root, suffix), key=lambda file: file.used_ns)
    total_bytes, deleted = sum(file.size_bytes for file in files), 0
    for file in files:
        if total_bytes <= max_bytes:
            break
        with suppress(FileNotFoundError):
            file.path.unlink()
            deleted += 1
        total_bytes -= file.size_bytes
    return deleted, total_bytes


def _files(root: Path, suffix: str) -> Iterator[Aged]:
    for path in root.glob(f"*/*{suffix}"):
        with suppress(FileNotFoundError):
            facts = path.stat()
            yield Aged(facts.st_mtime_ns, path, facts.st_size)


def _sweep(root: Path) -> None:
    """What dead workers left half-written, and the empty folders of models that are no longer used."""
    for path in (*root.glob("*/.*.partial"), *root.iterdir()):
        with suppress(OSError):  # gone already, or a folder that is not empty
            if time.time() - path.stat().st_mtime > ABANDONED_S:
                path.rmdir() if path.is_dir() else path.unlink()
