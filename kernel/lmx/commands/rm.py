"""`lmx rm`: deletes a model's files."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import Any

from lmx.commands.admin_paths import model_path
from lmx.commands.client import add_server_options, some_server
from lmx.commands.output import size, warn, write, write_json
from lmx_hookspecs import CommandContext

REFUSED = 1


class Rm:
    """Delete a model from this machine."""

    def configure(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("model", help="id of the model; it must not be loaded")
        parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
        add_server_options(parser)

    def run(self, args: Namespace, context: CommandContext) -> int:
        """Ask on a terminal, then delete."""
        path = model_path(args.model)
        with some_server(context, args.url) as server:
            if not args.yes and sys.stdin.isatty() and not _agreed(_question(server.get(path))):
                warn("nothing was deleted")
                return REFUSED
            answer = server.delete(path)
        if args.json:
            write_json(answer)
        else:
            write(f"{args.model} is deleted: {size(answer['freed_bytes'])} came back")
        return 0


def _question(model: Mapping[str, Any]) -> str:
    size_bytes = model["size_bytes"]
    what = model["id"] if size_bytes is None else f"{model['id']} ({size(size_bytes)})"
    return f"delete {what} from {model['path'] or model['source']}? [y/N] "


def _agreed(question: str) -> bool:
    try:
        return input(question).strip().lower() in {"y", "yes"}
    except EOFError:
        return False
