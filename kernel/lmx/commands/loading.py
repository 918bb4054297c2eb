"""`lmx load`, `lmx unload` and `lmx pin`: what a running server holds in memory."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Mapping
from typing import Any

from lmx.commands.admin_paths import model_path
from lmx.commands.client import add_server_options, server_at
from lmx.commands.output import gb, write, write_json
from lmx_hookspecs import CommandContext

NOT_READY = 1
"""Exit status where the model cannot be loaded before it is downloaded."""
NOT_HERE = frozenset({"download_required", "downloading"})


class Load:
    """Load a model, and wait until it is ready."""

    def configure(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("model", help="id of the model")
        parser.add_argument(
            "--keep-alive", type=float, metavar="SECONDS", help="unload it after this much idleness; 0 is never"
        )
        parser.add_argument("--pin", action="store_true", default=None, help="never unload it to make room")
        parser.add_argument("--context-length", type=int, metavar="TOKENS", help="at most what it was made for")
        parser.add_argument(
            "--set",
            action="append",
            default=[],
            type=_setting,
            metavar="KEY=VALUE",
            help="a performance setting, such as kv_bits=8",
        )
        add_server_options(parser)

    def run(self, args: Namespace, context: CommandContext) -> int:
        """Load it."""
        wanted = {
            "model_id": args.model,
            "keep_alive_sec": args.keep_alive,
            "pinned": args.pin,
            "max_context_length": args.context_length,
            "performance_overrides": dict(args.set) or None,
        }
        body = {name: value for name, value in wanted.items() if value is not None}
        answer = server_at(context, args.url).post("/admin/models/load", body)
        if args.json:
            write_json(answer)
        else:
            write(_outcome(args.model, answer))
        return NOT_READY if answer.get("status") in NOT_HERE else 0


class Unload:
    """Let a model's requests finish, then give its memory back."""

    def configure(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("model", help="id of the model")
        add_server_options(parser)

    def run(self, args: Namespace, context: CommandContext) -> int:
        """Unload it."""
        answer = server_at(context, args.url).post("/admin/models/unload", {"model_id": args.model})
        if args.json:
            write_json(answer)
        else:
            write(f"{args.model} is unloaded: {gb(answer['memory_freed_gb'] * 1e9)} came back")
        return 0


class Pin:
    """Keep a loaded model from being unloaded to make room, or for idleness."""

    def configure(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("model", help="id of a loaded model")
        parser.add_argument("--off", action="store_true", help="let it be unloaded again")
        add_server_options(parser)

    def run(self, args: Namespace, context: CommandContext) -> int:
        """Pin it, or let it go."""
        path = model_path(args.model, "pin")
        answer = server_at(context, args.url).post(path, {"pinned": not args.off})
        if args.json:
            write_json(answer)
        else:
            write(f"{args.model} is {'no longer ' if args.off else ''}pinned")
        return 0


def _outcome(model_id: str, answer: Mapping[str, Any]) -> str:
    match answer.get("status"):
        case "download_required":
            return f"{model_id} is not on this machine; `lmx pull {model_id} --load` downloads and loads it"
        case "downloading":
            return f"{model_id} is being downloaded, and is loaded once it is here; `lmx status` shows how far it is"
    took_ms = answer["time_to_load_ms"]
    return f"{model_id} was loaded already" if took_ms is None else f"{model_id} is ready after {took_ms / 1000:.1f} s"


def _setting(text: str) -> tuple[str, Any]:
    """`kv_bits=8`; the value is read as JSON where it is JSON, else as text."""
    import json

    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ArgumentTypeError(f"{text!r} is no KEY=VALUE")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
