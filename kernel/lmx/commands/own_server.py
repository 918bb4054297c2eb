"""A server of one's own, for as long as one needs it.

`python -m lmx.commands.own_server` is `lmx serve` until its standard input closes: it ends with whoever started it,
however that one ends.
"""

import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO, Any

from lmx_hookspecs.errors import Unavailable

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0
LAST_LINES = 20
FLAGS = ("--ephemeral", "--no-load", "--port", "0", "--host", "127.0.0.1")


@contextmanager
def own_server(config_dir: Path | None, default_model: str | None = None) -> Iterator[str]:
    """Start a server on a free port, give its URL, and stop it at the end; raises Unavailable with its last words.

    It loads nothing but what it is asked for; `default_model` is its choice for who leaves it the choice.
    """
    process = _start(config_dir, default_model)
    log = _Log(process.stderr)
    try:
        yield log.url()
    finally:
        _stop(process)
        log.join(STOP_TIMEOUT_S)


def _start(config_dir: Path | None, default_model: str | None) -> "subprocess.Popen[bytes]":
    chosen = ["--config-dir", str(config_dir)] if config_dir else []
    settings = {"LOGGING__FORMAT": "structured", "LOGGING__LEVEL": "INFO", "MODELS__JIT_LOAD": "true"}
    if default_model is not None:
        settings["MODELS__DEFAULT_MODEL"] = default_model
    return subprocess.Popen(
        [sys.executable, "-m", "lmx.commands.own_server", *chosen, *FLAGS],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, **{f"LMX_{key}": value for key, value in settings.items()}},
        start_new_session=True,  # Ctrl-C is for the conversation
    )


class _Log(Thread):
    """Reads the server's log to its end, since a full pipe would stop the server."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        super().__init__(name="log of the own server", daemon=True)
        self._stream = stream
        self._urls: SimpleQueue[str | None] = SimpleQueue()
        self._last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self.start()

    def url(self) -> str:
        """Where the server listens; raises Unavailable with its last words when it does not."""
        try:
            url = self._urls.get(timeout=START_TIMEOUT_S)
        except Empty:
            raise Unavailable(f"the server did not listen within {START_TIMEOUT_S:g} s; try `lmx serve`") from None
        if url is None:
            words = "\n".join(line.removeprefix("lmx: ") for line in self._last_lines)
            raise Unavailable(f"the server did not start: {words or 'it said nothing; try `lmx serve`'}")
        return url

    def run(self) -> None:
        """Read."""
        with self._stream or nullcontext(()) as lines:
            for line in lines:
                text = line.decode("utf-8", "replace").rstrip()
                self._last_lines.append(text)
                facts = _facts(text)
                if facts.get("event") == "listening":
                    self._urls.put(facts["url"])
        self._urls.put(None)


def _facts(line: str) -> Mapping[str, Any]:
    try:
        facts = json.loads(line)
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    if process.stdin:
        process.stdin.close()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _end_with_parent() -> None:
    while os.read(0, 4096):  # not through sys.stdin, whose lock this thread would hold when the interpreter ends
        continue
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> int:
    """Serve until standard input closes."""
    from lmx.cli import main as lmx

    Thread(target=_end_with_parent, daemon=True).start()
    return lmx(["serve", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
