"""The logger of worker-side code: its lines travel to the kernel's log as frames."""

from typing import Any

from attrs import frozen

from lmx.workers.frames import FrameError, FrameSocket


@frozen(eq=False)
class FrameLog:
    """A Logger bound to a plugin's name."""

    _link: FrameSocket
    _plugin: str

    def debug(self, event: str, **facts: Any) -> None:
        """For developers."""
        self._send("debug", event, facts)

    def info(self, event: str, **facts: Any) -> None:
        """For operators."""
        self._send("info", event, facts)

    def warning(self, event: str, **facts: Any) -> None:
        """Something is off, and handled."""
        self._send("warning", event, facts)

    def error(self, event: str, **facts: Any) -> None:
        """Something failed."""
        self._send("error", event, facts)

    def _send(self, level: str, event: str, facts: dict[str, Any]) -> None:
        try:
            self._link.send("log", level, event, {"plugin": self._plugin, **facts})
        except FrameError:  # a fact that is not plain data: its description will do
            self._link.send("log", level, event, {"plugin": self._plugin, "facts": ascii(facts)})
