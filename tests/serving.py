"""Starts real servers for tests: `python -m lmx serve` on a free port, stopped at the end."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from attrs import define, field

START_TIMEOUT_S = 60.0


@define(eq=False)
class Server:
    """A running `lmx serve` and what it logged."""

    process: subprocess.Popen[str]
    url: str = ""
    events: list[dict[str, Any]] = field(factory=list)
    other_lines: list[str] = field(factory=list)
    _changed: threading.Condition = field(factory=threading.Condition)

    def wait_for(self, event: str, timeout_s: float = START_TIMEOUT_S, **facts: Any) -> dict[str, Any]:
        """The first log line of that event with those facts; raises AssertionError with the log when none comes."""

        def found() -> dict[str, Any] | None:
            for line in self.events:
                if line.get("event") == event and all(line.get(key) == value for key, value in facts.items()):
                    return line
            return None

        with self._changed:
            self._changed.wait_for(lambda: found() or self.process.poll() is not None, timeout_s)
            line = found()
        if line is None:
            raise AssertionError(f"no log line {event!r} {facts}; the log:\n{self.log()}")
        return line

    def log(self) -> str:
        """Everything logged so far."""
        return "\n".join([*map(json.dumps, self.events), *self.other_lines])

    def stop(self, timeout_s: float = 20.0) -> int:
        """SIGTERM, and the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def client(self, **options: Any) -> httpx.Client:
        """An HTTP client of this server."""
        return httpx.Client(base_url=self.url, timeout=60, **options)

    def read(self) -> None:
        """Collect the log until the process closes it."""
        stream = self.process.stderr
        if stream is None:
            return
        for text in stream:
            try:
                line = json.loads(text)
            except ValueError:
                line = None
            with self._changed:
                if isinstance(line, dict):
                    self.events.append(line)
                else:
                    self.other_lines.append(text.rstrip())
                self._changed.notify_all()


@contextmanager
def served(
    folder: Path, config: Mapping[str, Any] | None = None, *flags: str, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """A server with this configuration, listening; it is stopped, and its pipes closed, at the end."""
    config_dir = folder / "config.d"
    config_dir.mkdir(parents=True, exist_ok=True)
    # JSON is YAML: no YAML writer is needed to make a configuration.
    (config_dir / "50-test.yaml").write_text(json.dumps(config or {}))
    process = subprocess.Popen(
        [sys.executable, "-m", "lmx", "--config-dir", str(config_dir), "serve", "--port", "0", *flags],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "LMX_HOME": str(folder / "home"), "HF_HOME": str(folder / "hf"), **(environment or {})},
    )
    server = Server(process)
    reader = threading.Thread(target=server.read, daemon=True)
    reader.start()
    try:
        server.url = server.wait_for("listening")["url"]
        yield server
    finally:
        try:
            server.stop()
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            reader.join(10)
            if process.stderr is not None:
                process.stderr.close()


def eventually(condition: Callable[[], bool], timeout_s: float, pause_s: float = 0.05) -> None:
    """Ask again and again, since what is waited for happens in another process."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(pause_s)


def polled(ask: Callable[[], httpx.Response], done: Callable[[Any], bool], timeout_s: float = 60.0) -> Any:
    """The first answer for which it holds."""
    deadline = time.monotonic() + timeout_s
    while not done(answer := ask().json()):
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)
    return answer
