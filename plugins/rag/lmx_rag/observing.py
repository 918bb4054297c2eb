"""Hears of changes in a folder from the operating system, by a thread of watchdog."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import define

EVENTS = (
    *("FileCreated", "FileModified", "FileClosed", "FileMoved", "FileDeleted"),
    *("DirCreated", "DirMoved", "DirDeleted"),
)
"""Reading a file is an event too, and whoever heard of that would never come to rest."""


@define(eq=False)
class Observed:
    """A folder that is listened to."""

    root: Path
    identity: tuple[int, int]
    _observer: Any

    def close(self) -> None:
        """Stop listening; waits for the thread."""
        self._observer.stop()
        self._observer.join()


def observe(root: Path, identity: tuple[int, int], changed: Callable[[], None]) -> Observed:
    """Call `changed`, in another thread, whenever something changes below `root`.

    Raises ImportError without watchdog, OSError where the system has no more watches to give.
    """
    from watchdog import events
    from watchdog.observers import Observer

    class Handler(events.FileSystemEventHandler):
        def dispatch(self, event: Any) -> None:
            del event
            changed()

    wanted = [getattr(events, f"{name}Event") for name in EVENTS]
    observer = Observer()
    try:
        observer.schedule(Handler(), str(root), recursive=True, event_filter=wanted)
        observer.start()
    except BaseException:
        observer.stop()
        raise
    return Observed(root, identity, observer)


def identity_of(root: Path) -> tuple[int, int] | None:
    """Tells a folder from another one that takes its place; None where there is none."""
    try:
        facts = root.stat()
    except OSError:
        return None
    return (facts.st_dev, facts.st_ino) if root.is_dir() else None
