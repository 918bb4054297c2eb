"""How far mlx-lm's converter is, seen from outside: it reports nothing itself."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import define

from lmx_hookspecs import Progress

INTERVAL_S = 0.5
MOST_BEFORE_THE_END = 0.99
"""The expected size is an estimate: some layers stay as they are."""


@define(eq=False, kw_only=True)
class Watch:
    """Counts what has been written.

    mlx-lm computes all weights of a file, up to 5 GB, before it writes the first of them: so the fraction stands
    still for most of a file's time. Nothing else that can be seen from here tells more without guessing.
    """

    folder: Path
    expected_bytes: int
    progress: Progress

    @contextmanager
    def running(self) -> Iterator[None]:
        """Report from a thread until the block ends."""
        ended = threading.Event()
        thread = threading.Thread(target=self._run, args=(ended,), name="watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def look(self) -> None:
        """Report once."""
        written_bytes = size_of(self.folder)
        fraction = min(MOST_BEFORE_THE_END, written_bytes / self.expected_bytes)
        self.progress(fraction, "quantising", written_bytes=written_bytes, expected_bytes=self.expected_bytes)

    def _run(self, ended: threading.Event) -> None:
        while not ended.wait(INTERVAL_S):
            self.look()


def size_of(folder: Path) -> int:
    """Bytes of the files in it now."""
    total_bytes = 0
    for path in folder.glob("*"):
        try:
            total_bytes += path.stat().st_size
        except FileNotFoundError:
            continue  # renamed since it was listed
    return total_bytes
