"""`lmx ps`: the models that hold memory, and what is left of it."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from time import time
from typing import Any

from lmx.commands.client import add_server_options, server_at
from lmx.commands.output import gb, span, write, write_json, write_table
from lmx_hookspecs import CommandContext

COLUMNS = ("id", "state", "backend", "memory", "running", "requests", "idle", "unloads", "note")
IN_MEMORY = frozenset({"loading", "ready", "draining"})


class Ps:
    """Show what a running server holds."""

    def configure(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        add_server_options(parser)

    def run(self, args: Namespace, context: CommandContext) -> int:
        """Print a table and the sum."""
        server = server_at(context, args.url)
        models = [model for model in server.get("/admin/models")["models"] if model["state"] in IN_MEMORY]
        memory = server.get("/admin/memory")
        if args.json:
            write_json({"server": server.url, "models": models, "memory": memory})
            return 0
        if models:
            write_table(COLUMNS, rows(models, memory))
        else:
            write("no model is loaded; `lmx load MODEL` loads one, and so does the first request for it")
        write(summary(memory))
        return 0


def rows(models: Sequence[Mapping[str, Any]], memory: Mapping[str, Any]) -> list[Sequence[str]]:
    """One row of `COLUMNS` for each of these models of `GET /admin/models`."""
    holdings = {holding["name"]: holding for holding in memory["holdings"]}
    return [_row(model, holdings.get(model["id"], {})) for model in models]


def summary(memory: Mapping[str, Any]) -> str:
    """What is held of what may be, in a line."""
    free_gb = max(0.0, min(memory["budget_gb"] - memory["held_gb"], memory["available_gb"]))
    return f"models hold {memory['held_gb']:.2f} of {memory['budget_gb']:.2f} GB; {free_gb:.2f} GB are free for more"


def _row(model: Mapping[str, Any], holding: Mapping[str, Any]) -> Sequence[str]:
    return (
        model["id"],
        model["state"],
        model["backend"] or "-",
        _memory(model, holding),
        str(model["in_flight"]),
        str(model["request_count"]),
        _idle(model),
        _unloads(model),
        model["reason"] or "",
    )


def _memory(model: Mapping[str, Any], holding: Mapping[str, Any]) -> str:
    if model["memory_bytes"]:
        return gb(model["memory_bytes"])
    reserved_gb = holding.get("reserved_gb")
    return f"{reserved_gb:.2f} GB reserved" if reserved_gb else "-"


def _idle(model: Mapping[str, Any]) -> str:
    since = max(filter(None, (model["last_used_at"], model["loaded_at"])), default=None)
    return "-" if since is None or model["in_flight"] else span(time() - since)


def _unloads(model: Mapping[str, Any]) -> str:
    if model["pinned"]:
        return "pinned"
    keep_alive_s = model["keep_alive_sec"]
    if keep_alive_s is None:
        return "-"
    return "never idle" if keep_alive_s == 0 else f"after {span(keep_alive_s)} idle"
