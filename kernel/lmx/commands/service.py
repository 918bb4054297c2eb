"""`lmx service`: the server in the background, from login on."""

import os
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from attrs import asdict

from lmx import service
from lmx.assembly import assemble
from lmx.commands.output import warn, write, write_json
from lmx.commands.serve import refuse_open_door
from lmx.service import Definition, Manager, System
from lmx.service.manager import ServiceFailed, planned_removal, planned_start, reach
from lmx.service.system import Step
from lmx_hookspecs import CommandContext
from lmx_hookspecs.places import home

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class Service:
    """The subcommands `install`, `status` and `uninstall`."""

    def configure(self, parser: ArgumentParser) -> None:
        """Declare the subcommands."""
        commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
        for name, meaning, run in (
            ("install", "start the server now, at every login, and again when it fails", _install),
            ("status", "whether it is installed, enabled and running", _status),
            ("uninstall", "stop it and remove it; configuration, models and state stay", _uninstall),
        ):
            command = commands.add_parser(name, help=meaning, description=meaning)
            command.add_argument("--name", type=_name, default="lmx", help="for a second service (default: lmx)")
            if run is not _status:
                command.add_argument("--dry-run", action="store_true", help="show what would be done, and do nothing")
            command.add_argument("--json", action="store_true", help="print JSON")
            command.set_defaults(run=run)

    def run(self, args: Namespace, context: CommandContext) -> int:
        """Run the chosen subcommand."""
        manager = service.manager_for(System(), args.name)
        status: int = args.run(args, manager, context)
        return status


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ArgumentTypeError("a name has letters, digits, - and _")
    return text


def _install(args: Namespace, manager: Manager, context: CommandContext) -> int:
    definition = definition_for(context.config_dir)
    for variable in service.left_out(os.environ):
        warn(f"{variable} holds in this shell and not in the service: write its key into the configuration")
    if args.dry_run:
        _show_plan(args, planned_start(manager), manager.file, manager.text(definition))
        return 0
    service.install(manager, definition)
    hints = manager.hints(definition)
    if args.json:
        write_json({**_facts(manager), "hints": hints})
        return 0
    write(f"wrote {manager.file}")
    write(f"started, with the configuration {definition.config_dir or 'of the defaults'}")
    for hint in ("`lmx service status` says whether it stays up", *hints):
        write(hint)
    return 0


def _uninstall(args: Namespace, manager: Manager, context: CommandContext) -> int:  # noqa: ARG001  all are called alike
    if args.dry_run:
        _show_plan(args, planned_removal(manager), manager.file, None)
        return 0
    service.uninstall(manager)
    if args.json:
        write_json(_facts(manager))
    else:
        write(f"stopped, and removed {manager.file}")
    return 0


def _status(args: Namespace, manager: Manager, context: CommandContext) -> int:  # noqa: ARG001  all are called alike
    facts = _facts(manager)
    try:
        reach(manager)
    except ServiceFailed as error:
        warn(error.message)
    if args.json:
        write_json(facts)
        return 0
    width = max(map(len, facts))
    for name, value in facts.items():
        write(f"{name.ljust(width)}  {_shown(name, value)}")
    if not facts["installed"]:
        warn("it is not installed; `lmx service install` does that")
    return 0


def definition_for(config_dir: Path | None) -> Definition:
    """What the service will run; raises ConfigError where the server would not start from it."""
    data = home().absolute()
    environment = service.service_environment(os.environ, data)
    searched = {**environment, **{name: value for name, value in os.environ.items() if name == "LMX_CONFIG_DIR"}}
    accept = partial(refuse_open_door, insecure=False, folder=data)
    config = assemble(config_dir, accept=accept, environment=searched).config
    folder = config.raw.directory
    return Definition(
        python=Path(sys.executable),
        config_dir=folder.absolute() if folder else None,
        home=data,
        environment=environment,
        shutdown_grace_s=config.section("server").shutdown_grace_s,
    )


def _show_plan(args: Namespace, steps: Sequence[Step], file: Path, text: str | None) -> None:
    if args.json:
        write_json({"file": file, "text": text, "commands": [step.words for step in steps]})
        return
    write(f"would {'remove' if text is None else 'write'} {file}" + (f":\n\n{text}" if text else ""))
    write("would run:")
    for step in steps:
        write(f"  {' '.join(step.words)}")


def _facts(manager: Manager) -> dict[str, Any]:
    return {"manager": manager.kind, "file": str(manager.file), **asdict(manager.state())}


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name == "since":
        return datetime.fromtimestamp(value).astimezone().isoformat(" ", "seconds")
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
