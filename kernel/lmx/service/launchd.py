"""A launchd agent: https://keith.github.io/xcode-man-pages/launchd.plist.5.html."""

import plistlib
import re
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from lmx.service.definition import OPEN_FILES, Definition
from lmx.service.manager import State
from lmx.service.system import Finished, Step, System

OWNER = "com.opta"
STAY_AWAKE = ("/usr/bin/caffeinate", "-i")
THROTTLE_S = 10
LONGEST_STOP_S = 700
"""More than any service takes to stop: `server.shutdown_grace_s` is at most 600."""


@frozen
class Launchd:
    """The agent `com.opta.<name>` of the logged-in user."""

    system: System
    name: str
    kind: str = "launchd"

    @property
    def label(self) -> str:
        """The agent's name for launchd."""
        return f"{OWNER}.{self.name}"

    @property
    def file(self) -> Path:
        """In the user's own folder of agents."""
        return self.system.home / "Library" / "LaunchAgents" / f"{self.label}.plist"

    @property
    def _domain(self) -> str:
        return f"gui/{self.system.uid}"

    @property
    def _target(self) -> str:
        return f"{self._domain}/{self.label}"

    def text(self, definition: Definition) -> str:
        """The property list."""
        log = str(self.log(definition))
        facts = {
            "Label": self.label,
            "ProgramArguments": [*STAY_AWAKE, *definition.words],
            "WorkingDirectory": str(definition.home),
            "EnvironmentVariables": dict(definition.environment),
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "ThrottleInterval": THROTTLE_S,
            "ExitTimeOut": definition.stop_timeout_s,
            "AbandonProcessGroup": False,
            "ProcessType": "Standard",
            "SoftResourceLimits": {"NumberOfFiles": OPEN_FILES},
            "StandardOutPath": log,
            "StandardErrorPath": log,
        }
        return plistlib.dumps(facts, sort_keys=False).decode()

    def log(self, definition: Definition) -> Path:
        """Where what the server prints goes."""
        return definition.home / "logs" / f"{self.name}.log"

    def folders(self, definition: Definition) -> Sequence[Path]:
        """Its data, and the log."""
        return [definition.home, self.log(definition).parent]

    def probe(self) -> Step:
        """Ask for the user's domain."""
        return Step(words=["launchctl", "print", self._domain])

    def explained(self, failure: Finished) -> str:  # noqa: ARG002  systemd has more than one reason
        """The domain exists while the user is logged in on the screen."""
        return "launchd has no session of this user: log in on the screen of this Mac, then try again"

    def before_install(self) -> Sequence[Step]:
        """Stop an agent of that label."""
        return self.before_removal()

    def after_install(self) -> Sequence[Step]:
        """Load it, which starts it; one that was disabled once would stay so."""
        return [
            Step(words=["launchctl", "enable", self._target]),
            Step(words=["launchctl", "bootstrap", self._domain, str(self.file)]),
        ]

    def before_removal(self) -> Sequence[Step]:
        """Unload it, and wait for its end: until then launchd loads no other of that label."""
        return [
            Step(words=["launchctl", "bootout", self._target], succeeds=None),
            Step(words=["launchctl", "print", self._target], succeeds=False, tries=LONGEST_STOP_S),
        ]

    def after_removal(self) -> Sequence[Step]:
        """Nothing is left."""
        return []

    def state(self) -> State:
        """From what launchd prints for people, which is all there is."""
        installed = self.file.exists()
        about = self.system.run(["launchctl", "print", self._target])
        switched_off = re.search(
            rf'"{re.escape(self.label)}" => (disabled|true)',
            self.system.run(["launchctl", "print-disabled", self._domain]).output,
        )
        enabled = installed and switched_off is None
        pid = re.search(r"^\s*pid = (\d+)", about.output, re.MULTILINE) if about.status == 0 else None
        if pid is None:
            return State(installed=installed, enabled=enabled)
        number = int(pid[1])
        return State(
            installed=installed, enabled=enabled, running=True, pid=number, since=self.system.started_at(number)
        )

    def hints(self, definition: Definition) -> Sequence[str]:
        """Where the log is, and what an earlier system may have left running."""
        hints = [f"its log: tail -f '{self.log(definition)}'"]
        old = self.system.daemons / f"{OWNER}.lmx.plist"
        if old.exists():
            hints.append(
                f"an earlier Opta-LMX is installed as a daemon of the whole machine and may hold the port; remove it: "
                f"sudo launchctl bootout system/{OWNER}.lmx; sudo rm {old}"
            )
        return hints
