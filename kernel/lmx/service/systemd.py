"""A systemd user unit: https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from lmx.service.definition import OPEN_FILES, Definition
from lmx.service.manager import State
from lmx.service.system import Finished, Step, System
from lmx_hookspecs.errors import ConfigError

UNIT = """\
# Written by `lmx service install`. Keep changes of your own apart from it: systemctl --user edit {name}
[Unit]
Description=LMX, a private AI inference server
# Three unclean starts within a minute bring up safe mode, which loads no model: more than that many must be allowed.
StartLimitIntervalSec=60
StartLimitBurst=6

[Service]
Type=exec
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
WorkingDirectory={folder}
Environment={environment}
Restart=on-failure
RestartSec=2
TimeoutStopSec={stop_timeout_s}
KillMode=mixed
LimitNOFILE={open_files}

[Install]
WantedBy=default.target
"""
SYSTEMCTL = ("systemctl", "--user")
PLAIN = re.compile(r"[A-Za-z0-9_./:=+-]+")
ESCAPES = {"\\": "\\\\", '"': '\\"', "%": "%%", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


@frozen
class Systemd:
    """The unit `<name>.service` of the user's own manager."""

    system: System
    name: str
    kind: str = "systemd"

    @property
    def unit(self) -> str:
        """The unit's name."""
        return f"{self.name}.service"

    @property
    def file(self) -> Path:
        """In the user's own folder of units."""
        folder = os.environ.get("XDG_CONFIG_HOME") or self.system.home / ".config"
        return Path(folder) / "systemd" / "user" / self.unit

    def text(self, definition: Definition) -> str:
        """The unit file."""
        return UNIT.format(
            name=self.name,
            command=_command(definition.words),
            folder=_folder(definition.home),
            environment=" ".join(quoted(f"{name}={value}") for name, value in definition.environment.items()),
            stop_timeout_s=definition.stop_timeout_s,
            open_files=OPEN_FILES,
        )

    def folders(self, definition: Definition) -> Sequence[Path]:
        """Its data; the log is the journal's."""
        return [definition.home]

    def probe(self) -> Step:
        """Ask for anything at all."""
        return Step(words=[*SYSTEMCTL, "show-environment"])

    def explained(self, failure: Finished) -> str:
        """Without a session there is no bus, and in a container no systemd."""
        if "bus" in failure.output.lower():
            return (
                "systemd's manager for this user does not answer: log in as the user itself, not through su or sudo; "
                "in a container run `lmx serve` as its program instead"
            )
        return "this machine does not run systemd: start `lmx serve` with what starts its other services"

    def before_install(self) -> Sequence[Step]:
        """A running service goes on until the new file is in its place."""
        return []

    def after_install(self) -> Sequence[Step]:
        """Read the file, start with each session, and start now, also where it had failed too often."""
        return [
            Step(words=[*SYSTEMCTL, "daemon-reload"]),
            Step(words=[*SYSTEMCTL, "enable", self.unit]),
            Step(words=[*SYSTEMCTL, "reset-failed", self.unit], succeeds=None),
            Step(words=[*SYSTEMCTL, "restart", self.unit]),
        ]

    def before_removal(self) -> Sequence[Step]:
        """Stop it, and start it no more."""
        return [Step(words=[*SYSTEMCTL, "disable", "--now", self.unit])]

    def after_removal(self) -> Sequence[Step]:
        """Forget it."""
        return [
            Step(words=[*SYSTEMCTL, "daemon-reload"]),
            Step(words=[*SYSTEMCTL, "reset-failed", self.unit], succeeds=None),
        ]

    def state(self) -> State:
        """From the unit's properties."""
        wanted = "LoadState,ActiveState,UnitFileState,MainPID"
        shown = self.system.run([*SYSTEMCTL, "show", self.unit, f"--property={wanted}"])
        facts = dict(line.split("=", 1) for line in shown.output.splitlines() if "=" in line)
        pid = int(facts.get("MainPID") or 0) or None
        return State(
            installed=self.file.exists(),
            enabled=facts.get("UnitFileState") == "enabled",
            running=facts.get("ActiveState") in ("active", "reloading"),
            pid=pid,
            since=self.system.started_at(pid) if pid else None,
        )

    def hints(self, definition: Definition) -> Sequence[str]:  # noqa: ARG002  the protocol's signature
        """Where the log is, and what keeps a service running without a session."""
        hints = [f"its log: journalctl --user -u {self.name} -f"]
        linger = self.system.run(["loginctl", "show-user", str(self.system.uid), "--property=Linger"])
        if linger.output != "Linger=yes":
            hints.append(
                "it ends when you log out, and starts when you log in; to let it run always: loginctl enable-linger"
            )
        return hints


def quoted(text: str) -> str:
    """One word of a unit file, with specifiers and C escapes taken literally."""
    if PLAIN.fullmatch(text):
        return text
    return '"' + "".join(ESCAPES.get(character, character) for character in text) + '"'


def _command(words: Sequence[str]) -> str:
    """Variables are replaced in arguments, unless their dollar sign is doubled, and never in the program itself."""
    program, *arguments = words
    if "$" in program:
        raise ConfigError(f"systemd cannot start {program}, for its `$`: install LMX into a folder without one")
    return " ".join([quoted(program), *(quoted(word).replace("$", "$$") for word in arguments)])


def _folder(path: Path) -> str:
    """A value that is taken as it stands, without quotes, but for specifiers."""
    return str(path).replace("%", "%%")
