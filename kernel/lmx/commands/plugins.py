"""`lmx plugins`: what is installed, what became of it, and how to start or install another."""

import json
import os
from argparse import ArgumentParser, Namespace
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from lmx.commands.output import warn, write, write_json, write_table
from lmx.plugins import (
    PluginEntry,
    PluginRecord,
    Status,
    discover,
    installed,
    installed_names,
    interpreters,
    off_by_default,
)
from lmx.plugins.describe import details, facts, range_text
from lmx_hookspecs.commands import CommandContext
from lmx_hookspecs.errors import ConfigError, NotFound


class Plugins:
    """The subcommands `list`, `info`, `doctor`, `install` and `new`."""

    def configure(self, parser: ArgumentParser) -> None:
        """Declare the subcommands."""
        commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
        for name, meaning, run in (
            ("list", "every installed plugin, its status and its hooks", _list),
            ("info", "a plugin's keys, what it offers and what it needs", _info),
            ("doctor", "what keeps plugins from working, and what to do", _doctor),
            ("install", "give a plugin a Python environment of its own", _install),
            ("new", "start a plugin of your own", _new),
        ):
            command = commands.add_parser(name, help=meaning, description=meaning)
            command.set_defaults(run=run)
            _add_arguments(name, command)

    def run(self, args: Namespace, context: CommandContext) -> int:
        """Run the chosen one; `doctor` returns 1 when a plugin has failed."""
        status: int = args.run(args, context.config_dir)
        return status


def _add_arguments(name: str, parser: ArgumentParser) -> None:
    if name in ("info", "install", "new"):
        parser.add_argument("name", metavar="NAME", help="name of the plugin")
    if name == "install":
        _add_install_arguments(parser)
    elif name == "new":
        parser.add_argument("--directory", type=Path, default=Path(), metavar="DIR", help="where its folder is made")
    else:
        parser.add_argument("--json", action="store_true", help="print JSON")


def _add_install_arguments(parser: ArgumentParser) -> None:
    isolated = "into $LMX_HOME/environments/NAME, which its workers use from then on"
    parser.add_argument("--isolated", action="store_true", required=True, help=isolated)
    whence = "a checkout or wheel of opta-lmx; default: where the running one came from, else the index"
    parser.add_argument("--from", dest="source", type=Path, metavar="PATH", help=whence)
    maker = "the interpreter to make it with; default: this one"
    parser.add_argument("--python", type=Path, metavar="PYTHON", help=maker)


def _list(args: Namespace, config_dir: Path | None) -> int:
    records = _records(config_dir)
    if args.json:
        write_json([facts(record) for record in records])
        return 0
    write_table(("name", "status", "distribution", "hooks", "reason"), [_row(record) for record in records])
    return 0


def _row(record: PluginRecord) -> Sequence[str]:
    hooks = " ".join(hook.removeprefix("lmx_") for hook in record.hooks)
    place = f"workers run on {record.interpreter}" if record.interpreter else ""
    return record.name, record.status.value, record.entry.owner, hooks, record.reason or place


def _info(args: Namespace, config_dir: Path | None) -> int:
    records = _records(config_dir)
    known = [details(record) for record in records if record.name == args.name]
    if not known:
        raise NotFound(_unknown(args.name, [record.name for record in records]))
    if args.json:
        write_json(known[0] if len(known) == 1 else known)
        return 0
    for plugin in known:
        _write_details(plugin)
    return 0


def _unknown(name: str, names: Sequence[str]) -> str:
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]}?" if close else "`lmx plugins list` shows what there is"
    return f"no plugin {name!r} is installed; {hint}"


def _write_details(plugin: Mapping[str, Any]) -> None:
    write(f"{plugin['name']}: {plugin['status']}")
    write(f"distribution: {plugin['distribution']} {plugin['version']}, module {plugin['module']}")
    for title in ("reason", "advice", "interpreter"):
        if plugin[title]:
            write(f"{title}: {plugin[title]}")
    for need in plugin["requires"]:
        write(f"requires: {', '.join(need['modules'])} ({need['pip']})")
    for hook in plugin["hooks"]:
        write(f"{hook}: {', '.join(plugin['offers'].get(hook, ())) or 'implemented'}")
    for backend, capabilities in plugin["capabilities"].items():
        write(f"capabilities of {backend}: {', '.join(capabilities)}")
    if plugin["keys"]:
        write()
        write_table(("key", "type", "default", "range", "meaning"), [_key_row(key) for key in plugin["keys"]])


def _key_row(key: Mapping[str, Any]) -> Sequence[str]:
    return key["key"], key["type"], json.dumps(key["default"], ensure_ascii=False), range_text(key), key["doc"]


def _doctor(args: Namespace, config_dir: Path | None) -> int:
    ill = [record for record in _records(config_dir) if record.status in (Status.IDLE, Status.FAILED)]
    if args.json:
        write_json([facts(record) for record in ill])
    elif not ill:
        write("every plugin is active, or disabled on purpose")
    else:
        for record in ill:
            write(f"{record.name} ({record.entry.owner}) is {record.status.value}: {record.reason}")
            write(f"    {record.advice}")
    return int(any(record.status is Status.FAILED for record in ill))


def _install(args: Namespace, config_dir: Path | None) -> int:
    from lmx.plugins import installing

    entries = installed()
    entry = next((entry for entry in entries if entry.name == args.name), None)
    if entry is None:
        raise NotFound(_unknown(args.name, [entry.name for entry in entries]))
    source = installing.source_at(args.source) if args.source else installing.own_source()
    interpreter = installing.install(entry, source, args.python)
    write(f"workers of {entry.name} run on {interpreter} from the next start of the server on")
    configured = next(record.interpreter for record in _records(config_dir) if record.name == entry.name)
    if configured != interpreter:
        warn(f"but workers.interpreters.{entry.name} names {configured}: take it out of the configuration")
    return 0


def _new(args: Namespace, config_dir: Path | None) -> int:  # noqa: ARG001  all subcommands are called alike
    from lmx.plugins.scaffold import generate

    folder = generate(args.name, args.directory)
    write(f"made {folder}; next:")
    write(f"    pip install -e '{folder}[dev]' && pytest {folder}")
    write("    lmx plugins list")
    return 0


def _records(config_dir: Path | None) -> Sequence[PluginRecord]:
    entries = installed()
    disabled, configured = _configured(entries, config_dir)
    return discover(disabled, entries, interpreters(configured, installed_names(entries))).collect().records


def _configured(entries: Sequence[PluginEntry], config_dir: Path | None) -> tuple[Collection[str], Any]:
    """Those that the configuration leaves switched off, and its interpreters; its other faults are not ours."""
    from lmx.config import read

    off = off_by_default(entries)
    try:
        raw = read(config_dir, os.environ, {})
    except ConfigError as error:
        warn(f"the configuration cannot be read, so what it switches on or off is not known here: {error.message}")
        return off, None
    return raw.disabled_plugins(off), raw.interpreters
