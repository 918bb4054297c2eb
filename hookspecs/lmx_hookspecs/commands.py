"""Commands: `lmx <anything>`."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from attrs import frozen


class ServerClient(Protocol):
    """Asks a running server, with the keys for it; may be used by several threads at the same time.

    Every method raises LmxError: what the server answered as an error, or Unavailable where none answers.
    """

    @property
    def url(self) -> str:
        """Where it is."""

    def get(self, path: str) -> Any:
        """The JSON answer to a GET."""

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON answer to a POST."""

    def delete(self, path: str) -> Any:
        """The JSON answer to a DELETE."""

    def upload(self, path: str, files: Sequence[tuple[str, Path]], fields: Mapping[str, str]) -> Any:
        """The JSON answer to a form with files in its field `files`, each under the name that is given for it.

        Raises OSError where a file cannot be opened.
        """

    def download(self, path: str, file: Path) -> int:
        """Put the answer to a GET into a file that is not there yet; returns its bytes.

        What came of an answer that broke off is deleted. Raises OSError where it cannot be written.
        """


class CommandOutput(Protocol):
    """What commands print, all of them alike."""

    def write(self, text: str = "") -> None:
        """One line on standard output."""

    def warn(self, text: str) -> None:
        """One line on standard error, behind `lmx: `."""

    def write_json(self, data: Any) -> None:
        """Indented JSON on standard output."""

    def write_table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A table on standard output."""


class CommandContext(Protocol):
    """What a command gets beside its arguments."""

    @property
    def config_dir(self) -> Path | None:
        """`--config-dir`, if given."""

    @property
    def output(self) -> CommandOutput:
        """Where to print."""

    def config(self, section: str) -> Any:
        """A top-level section, or `plugins.<name>`, of the configuration in force; read on first use."""

    def server(self, url: str | None = None) -> ServerClient:
        """The server at `url`, else the one that this configuration and machine run; it is not asked anything yet."""


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
