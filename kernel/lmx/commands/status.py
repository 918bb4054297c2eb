"""`lmx status`: a running server at a glance; on a terminal the view stays and follows it."""

import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lmx.commands import ps
from lmx.commands.client import Server, add_server_options, server_at
from lmx.commands.output import span, write, write_json, write_table
from lmx_hookspecs import CommandContext

if TYPE_CHECKING:
    from rich.console import RenderableType

REFRESH_S = 1.0


class Status:
    """Show health, memory, models and downloads."""

    def configure(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("--once", action="store_true", help="print it once, also on a terminal")
        add_server_options(parser)

    def run(self, args: Namespace, context: CommandContext) -> int:
        """Print once, or follow until Ctrl-C."""
        server = server_at(context, args.url)
        if args.json:
            write_json(_seen(server))
        elif args.once or not sys.stdout.isatty():
            _print(_seen(server))
        else:
            _follow(server)
        return 0


def _seen(server: Server) -> Mapping[str, Any]:
    models = server.get("/admin/models")["models"]
    return {
        "server": server.url,
        "status": server.get("/admin/status"),
        "health": server.get("/admin/health"),
        "memory": server.get("/admin/memory"),
        "models": [model for model in models if model["state"] not in {"on_disk", "remote", "no_engine"}],
        "downloads": server.get("/admin/models/downloads")["downloads"],
    }


def _print(seen: Mapping[str, Any]) -> None:
    for line in _heading(seen):
        write(line)
    if seen["models"]:
        write_table(ps.COLUMNS, ps.rows(seen["models"], seen["memory"]))
    for line in _downloads(seen):
        write(line)


def _heading(seen: Mapping[str, Any]) -> list[str]:
    status, health = seen["status"], seen["health"]
    condition = f"{health['status']}: {health['reason']}" if health["reason"] else health["status"]
    return [
        f"{seen['server']}  lmx {status['version']}  up {span(status['uptime_seconds'])}",
        f"{condition}; {status['in_flight_requests']} requests run; {ps.summary(seen['memory'])}",
    ]


def _downloads(seen: Mapping[str, Any]) -> list[str]:
    return [
        f"{download['repo_id']}: {download['status']}, {download['progress_percent']:.0f} %"
        for download in seen["downloads"]
        if download["status"] == "downloading"
    ]


def _follow(server: Server) -> None:
    from rich.live import Live

    with Live(_picture(_seen(server)), refresh_per_second=4) as live:
        while True:
            time.sleep(REFRESH_S)
            live.update(_picture(_seen(server)))


def _picture(seen: Mapping[str, Any]) -> "RenderableType":
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for column in ps.COLUMNS:
        table.add_column(column)
    for row in ps.rows(seen["models"], seen["memory"]):
        table.add_row(*map(Text, row))  # Text: a model id may hold square brackets
    lines = [Text(line) for line in (*_heading(seen), *_downloads(seen))]
    return Group(*lines[:2], table, *lines[2:])
