"""`lmx models`: what is on disk and what is loaded, and everything that is known of one."""

import asyncio
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lmx.commands.admin_paths import model_path
from lmx.commands.client import add_server_options, server_at
from lmx.commands.context import assembly_of
from lmx.commands.loading import Load, Unload
from lmx.commands.output import gb, size, warn, write, write_json, write_table
from lmx_hookspecs import CommandContext, ModelStatus

if TYPE_CHECKING:
    from lmx.assembly import Assembly

COLUMNS = ("id", "state", "backend", "format", "size", "memory", "context", "source", "note")


class Models:
    """The subcommands `list`, `info`, and `load` and `unload`, which are also commands of their own."""

    def configure(self, parser: ArgumentParser) -> None:
        """Declare the subcommands."""
        commands = parser.add_subparsers(metavar="COMMAND", required=True)
        for name, meaning, run in (
            ("list", "every model, loaded ones first; without a server, those on disk", _list),
            ("info", "everything that is known of one model", _info),
        ):
            command = commands.add_parser(name, help=meaning, description=meaning)
            if run is not _list:
                command.add_argument("model", help="id of the model")
            add_server_options(command)
            command.set_defaults(run=run)
        for name, twin in (("load", Load()), ("unload", Unload())):
            command = commands.add_parser(name, help=f"the same as `lmx {name}`")
            twin.configure(command)
            command.set_defaults(run=twin.run)

    def run(self, args: Namespace, context: CommandContext) -> int:
        """Run the chosen subcommand."""
        status: int = args.run(args, context)
        return status


def _list(args: Namespace, context: CommandContext) -> int:
    server = server_at(context, args.url)
    running = bool(args.url) or server.is_lmx()
    models = server.get("/admin/models")["models"] if running else _on_disk(context)
    if args.json:
        write_json({"server": server.url if running else None, "models": models})
        return 0
    if models:
        write_table(COLUMNS, [_row(model) for model in models])
    else:
        write("no models: `lmx pull` downloads one; models.directories names folders that hold some")
    if not running:
        warn(f"no server is running at {server.url}: these models are on disk; `lmx serve` starts it")
    return 0


def _info(args: Namespace, context: CommandContext) -> int:
    path = model_path(args.model)
    model = server_at(context, args.url).get(path)
    if args.json:
        write_json(model)
        return 0
    width = max(len(name) for name in model)
    for name, value in model.items():
        write(f"{name.ljust(width)}  {_shown(name, value)}")
    return 0


def _on_disk(context: CommandContext) -> Sequence[Mapping[str, Any]]:
    return [_plain(status) for status in models_on_disk(assembly_of(context))]


def models_on_disk(assembly: "Assembly") -> Sequence[ModelStatus]:
    """What a server would find, by building one that is never started."""
    from lmx.kernel import Kernel

    return asyncio.run(_known(Kernel(assembly.config, assembly.registry)))


async def _known(kernel: Any) -> Sequence[ModelStatus]:
    known: Sequence[ModelStatus] = await kernel.models.list()
    return known


def _plain(status: ModelStatus) -> Mapping[str, Any]:
    """The fields of `GET /admin/models` that a model has without a server."""
    return {
        "id": status.info.id,
        "state": status.state.value,
        "reason": status.reason,
        "backend": status.backend,
        "format": status.info.format,
        "source": status.info.source,
        "path": str(status.info.path) if status.info.path else None,
        "size_bytes": None if status.info.remote else status.info.size_bytes,
        "context_length": status.context_length,
        "details": dict(status.info.details),
    }


def _row(model: Mapping[str, Any]) -> Sequence[str]:
    memory_bytes = model.get("memory_bytes")
    return (
        model["id"],
        model["state"],
        model["backend"] or "-",
        model["format"],
        "-" if model["size_bytes"] is None else size(model["size_bytes"]),
        gb(memory_bytes) if memory_bytes else "-",
        str(model["context_length"] or "-"),
        model["source"],
        model["reason"] or model["details"].get("description", ""),
    )


def _shown(name: str, value: Any) -> str:
    if value is None or value in ({}, []):
        return "-"
    if name.endswith("_bytes"):
        return gb(value) if name == "memory_bytes" else size(value)
    if name.endswith("_at"):
        return datetime.fromtimestamp(value).astimezone().isoformat(" ", "seconds")
    if isinstance(value, list):
        return ", ".join(str(member) for member in value)
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_member(member)}" for key, member in value.items())
    return str(value)


def _member(value: Any) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{key}: {_member(member)}" for key, member in value.items()) + ")"
    return str(value)
