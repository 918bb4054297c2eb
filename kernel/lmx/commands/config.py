"""`lmx config`: what is in force, whether it is valid, how to reload it, and how an earlier one becomes ours."""

import json
import os
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from lmx.commands.client import add_server_options, server_at
from lmx.commands.output import warn, write, write_json, write_table
from lmx.config import Config, RawConfig, complaints, find_directory, passed_over, read, resolve
from lmx.config.files import NOTHING
from lmx.config.importer import convert, hand_over_rag_store, import_presets, read_old
from lmx.config.importer import write as write_files
from lmx.config.merge import nested, wrap
from lmx.config.rag import STORE_FOLDER
from lmx.config.show import as_yaml, leaves
from lmx.plugins import Loader, Status, discover, installed, installed_names, interpreters, off_by_default
from lmx.structure import unstructure
from lmx_hookspecs import CommandContext
from lmx_hookspecs.errors import ConfigError, Forbidden
from lmx_hookspecs.places import home


class ConfigCommand:
    """The subcommands `show`, `check`, `reload` and `import`."""

    def configure(self, parser: ArgumentParser) -> None:
        """Declare the subcommands."""
        commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
        for name, meaning, run in (
            ("show", "every key with its value, secrets masked", _show),
            ("check", "validate without starting anything", _check),
            ("reload", "let the running server read its configuration again", _reload),
            ("import", "turn an Opta-LMX configuration into a folder of ours", _import),
        ):
            command = commands.add_parser(name, help=meaning, description=meaning)
            command.set_defaults(run=run)
            _add_arguments(name, command)

    def run(self, args: Namespace, context: CommandContext) -> int:
        """Run the chosen one."""
        status: int = args.run(args, context)
        return status


def _add_arguments(name: str, parser: ArgumentParser) -> None:
    if name == "show":
        parser.add_argument("--origin", action="store_true", help="say where each key was set")
    if name == "import":
        parser.add_argument("old", metavar="OLD.yaml", type=Path, help="the earlier configuration")
        parser.add_argument(
            "--output", type=Path, default=Path("config.d"), metavar="DIR", help="where ours is written"
        )
        parser.add_argument("--force", action="store_true", help="replace files that exist already")
    if name == "reload":
        add_server_options(parser)
    if name in ("show", "import"):
        parser.add_argument("--json", action="store_true", help="print JSON")


@frozen
class _Setup:
    """What was written, and what it is validated against."""

    raw: RawConfig
    loader: Loader
    installed: frozenset[str]
    off_by_default: frozenset[str]

    def config(self) -> Config:
        """The validated configuration; raises ConfigError."""
        return resolve(self.raw, self.loader.config_specs(), self.installed, self.off_by_default)

    def complaint(self, key: Sequence[str], value: Any) -> str | None:
        """What is wrong with one value, alone, at one key."""
        root = nested(tuple(key), wrap(value, "import"))
        problems = complaints(root, self.loader.config_specs(), self.installed)
        return "; ".join(problem.message for problem in problems) or None


def _set_up(raw: RawConfig) -> _Setup:
    entries = installed()
    off = off_by_default(entries)
    names = installed_names(entries)
    loader = discover(raw.disabled_plugins(off), entries, interpreters(raw.interpreters, names))
    return _Setup(raw, loader, names, off)


def _show(args: Namespace, context: CommandContext) -> int:
    config = _set_up(read(context.config_dir, os.environ)).config()
    plain, origins = config.plain(), config.origins()
    if not args.origin:
        write_json(plain) if args.json else write(as_yaml(plain).rstrip())
        return 0
    keys = {".".join(path): value for path, value in leaves(plain)}
    if args.json:
        write_json([{"key": key, "value": value, "origin": origins[key]} for key, value in keys.items()])
    else:
        write_table(("key", "value", "origin"), [(key, _cell(value), origins[key]) for key, value in keys.items()])
    return 0


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _check(args: Namespace, context: CommandContext) -> int:  # noqa: ARG001  all subcommands are called alike
    folder = find_directory(context.config_dir, os.environ)
    write(f"folder: {folder.resolve() if folder else 'none, so the defaults hold'}")
    for line in passed_over(os.environ):
        warn(line)
    try:
        setup = _set_up(read(context.config_dir, os.environ))
        _refuse_what_cannot_work(setup)
    except ConfigError as error:
        for line in error.message.splitlines():
            warn(line)
        return 1
    for record in setup.loader.records:
        if record.status is Status.FAILED:
            write(f"plugins.{record.name} was not checked, since the plugin failed: {record.reason}")
    write("OK")
    return 0


def _refuse_what_cannot_work(setup: _Setup) -> None:
    """Raise the ConfigError that a start would end with: a bad key, an open door, a scheduler that nobody offers.

    With a store that nobody offers the server starts, and has no retrieval: nobody can have meant that either.
    """
    from lmx.commands.serve import refuse_open_door
    from lmx.kernel import Kernel
    from lmx.retrieval.hosting import check_store_name

    config = setup.config()
    refuse_open_door(config, insecure=False, folder=home())
    registry = setup.loader.collect()
    Kernel(config, registry)
    check_store_name(config, registry)


def _reload(args: Namespace, context: CommandContext) -> int:
    try:
        answer = server_at(context, args.url).post("/admin/config/reload", {})
    except Forbidden as error:  # the files may hold the next admin key already
        raise Forbidden(f"{error.message}; give it the key that is in force still, or send the server SIGHUP") from None
    if args.json:
        write_json(answer)
        return 0
    changed, waiting = answer["changed"], answer["needs_restart"]
    for key in changed:
        write(f"changed: {key}")
    for key in waiting:
        write(f"needs a restart: {key}")
    if not changed and not waiting:
        write("nothing has changed")
    return 0


def _import(args: Namespace, context: CommandContext) -> int:  # noqa: ARG001  all subcommands are called alike
    old = read_old(args.old)
    result = convert(old, _set_up(RawConfig(None, NOTHING)).complaint)
    import_presets(old, result)
    hand_over_rag_store(old, result, home() / STORE_FOLDER)
    files = write_files(result, args.output, source=args.old, force=args.force)
    if args.json:
        write_json({"keys": unstructure(result.outcomes), "files": [str(file) for file in files]})
        return 0
    rows = [(outcome.key, outcome.fate, outcome.to, outcome.reason) for outcome in result.outcomes]
    write_table(("key", "fate", "now", "reason"), rows)
    write()
    for file in files:
        write(f"wrote {file}")
    write(f"next: lmx --config-dir {args.output} config check")
    return 0
