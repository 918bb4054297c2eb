"""Commands: `lmx <anything>`."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from attrs import frozen


class CommandContext(Protocol):
    """What a command gets beside its arguments."""

    @property
    def config_dir(self) -> Path | None:
        """`--config-dir`, if given."""

    def config(self, section: str) -> Any:
        """A top-level section, or `plugins.<name>`, of the configuration in force; read on first use."""


class Command(Protocol):
    """One subcommand."""

    def configure(self, parser: ArgumentParser) -> None:
        """Declare its arguments."""

    def run(self, args: Namespace, context: CommandContext) -> int:
        """Do it and return the exit status; an LmxError is printed as `lmx: …` and exits with 1."""


@frozen(kw_only=True)
class CommandSpec:
    """A subcommand; `factory` may import what it needs, since it is called only when the command is used."""

    name: str
    help: str
    factory: Callable[[], Command]
