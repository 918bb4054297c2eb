"""`lmx pull`: downloads a model, through the running server or one of its own."""

import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from lmx.commands.client import Server, add_server_options, some_server
from lmx.commands.output import size, warn, write, write_json
from lmx_hookspecs import CommandContext
from lmx_hookspecs.errors import EngineFailed

POLL_S = 0.3
Show = Callable[[Mapping[str, Any]], None]


class Pull:
    """Download a model and wait for it."""

    def configure(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("repository", help="name of the repository, such as mlx-community/Qwen3-4B-4bit")
        parser.add_argument("--revision", help="branch, tag or commit (default: the main branch)")
        parser.add_argument("--allow", action="append", metavar="PATTERN", help="only files that match; repeatable")
        parser.add_argument("--ignore", action="append", metavar="PATTERN", help="no files that match; repeatable")
        parser.add_argument("--load", action="store_true", help="load it once it is there")
        add_server_options(parser)

    def run(self, args: Namespace, context: CommandContext) -> int:
        """Start the download, or join the one in progress; Ctrl-C cancels what it started, and keeps what has come."""
        wanted = {
            "repo_id": args.repository,
            "revision": args.revision,
            "allow_patterns": args.allow,
            "ignore_patterns": args.ignore,
            "load": args.load,
        }
        body = {name: value for name, value in wanted.items() if value is not None}
        with some_server(context, args.url) as server:
            started = server.post("/admin/models/download", body)
            done = _finished(server, started["download_id"], joined=started.get("joined", False))
        if args.json:
            write_json(done)
        else:
            write(f"{args.repository} is here: {size(done['total_bytes'])} in {done['files_total']} files")
        return 0


def _finished(server: Server, download_id: str, *, joined: bool) -> Mapping[str, Any]:
    path = f"/admin/models/download/{download_id}"
    try:
        with _display() as show:
            progress = _followed(server, f"{path}/progress", show)
    except KeyboardInterrupt:
        if joined:
            warn("the download goes on: somebody else had started it")
        else:
            server.delete(path)
            warn("cancelled; what has come is kept, and the next `lmx pull` goes on from there")
        raise
    if progress["status"] != "completed":
        raise EngineFailed(f"the download {progress['status']}: {progress['error'] or 'no reason was given'}")
    if progress["error"]:
        warn(progress["error"])
    return progress


def _followed(server: Server, path: str, show: Show) -> Mapping[str, Any]:
    while True:
        progress: Mapping[str, Any] = server.get(path)
        show(progress)
        if progress["status"] != "downloading":
            return progress
        time.sleep(POLL_S)


def _display() -> AbstractContextManager[Show]:
    """A progress bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        return nullcontext(lambda _progress: None)
    from lmx.commands.progress import bar

    return bar()
