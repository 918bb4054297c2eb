"""The one seam to the machine's service manager: programs that are run, and what is known of processes."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from attrs import field, frozen

TIMEOUT_S = 700.0
"""Stopping a service takes as long as its running requests: `server.shutdown_grace_s` is at most 600."""
PAUSE_S = 1.0


@frozen
class Finished:
    """A program that has ended."""

    status: int
    output: str = ""
    """Of both streams."""


@frozen(kw_only=True)
class Step:
    """A program to run, and what must come of it."""

    words: Sequence[str]
    succeeds: bool | None = True
    """None: it may fail. False: it is repeated until it fails."""
    tries: int = 1


@frozen(kw_only=True)
class System:
    """The real machine."""

    platform: str = sys.platform
    uid: int = field(factory=os.getuid)
    home: Path = field(factory=Path.home)
    daemons: Path = Path("/Library/LaunchDaemons")
    """Where macOS keeps services of the whole machine."""

    def run(self, words: Sequence[str]) -> Finished:
        """Run a program to its end; as in a shell, 127 means that it cannot be run, and 124 that it hangs."""
        try:
            done = subprocess.run(
                words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT_S, check=False
            )
        except OSError as error:
            return Finished(127, f"{words[0]}: {error.strerror}")
        except subprocess.TimeoutExpired:
            return Finished(124, f"{words[0]} did not end within {TIMEOUT_S:g} s")
        return Finished(done.returncode, done.stdout.strip())

    def started_at(self, pid: int) -> float | None:
        """When a process began, in Unix seconds; None for one that is gone."""
        import psutil

        try:
            return psutil.Process(pid).create_time()
        except psutil.Error:
            return None

    def pause(self) -> None:
        """Wait before the next try."""
        time.sleep(PAUSE_S)
