"""`lmx rag ingest`: puts files and folders into a collection."""

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from lmx_hookspecs import CommandContext, LmxError, ServerClient
from lmx_hookspecs.errors import NotFound
from lmx_rag.commands.files import Selection, SourceFile, files_below, gone
from lmx_rag.commands.json_objects import json_object
from lmx_rag.commands.parallel import in_parallel
from lmx_rag.commands.paths import DEFAULT_COLLECTION, document_path, documents
from lmx_rag.commands.progress import Show, bar, lines
from lmx_rag.commands.uploads import Outcome, Uploader

FAILED = 1
JOBS = 4
STATES = ("ingested", "unchanged", "skipped")


class Ingest:
    """Send what is new or has changed, and say what could not be read."""

    def configure(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files, and folders with all they hold")
        parser.add_argument("-c", "--collection", default=DEFAULT_COLLECTION, metavar="NAME", help="where to put them")
        parser.add_argument(
            "--glob", action="append", default=[], metavar="PATTERN", help="of a folder only what matches; repeatable"
        )
        parser.add_argument(
            "--exclude", action="append", default=[], metavar="PATTERN", help="nothing that matches; repeatable"
        )
        parser.add_argument("--chunking", metavar="STRATEGY", help="how documents are cut (default: as rag says)")
        parser.add_argument("--chunk-size", type=int, metavar="TOKENS", help="tokens of a chunk at most")
        parser.add_argument("--chunk-overlap", type=int, metavar="TOKENS", help="tokens repeated of the chunk before")
        parser.add_argument("--model", help="embeds the documents (default: the collection's model)")
        parser.add_argument("--metadata", type=json_object, default={}, metavar="JSON", help="of each document")
        parser.add_argument("--jobs", type=_positive, default=JOBS, metavar="N", help=f"files at a time ({JOBS})")
        parser.add_argument("--force", action="store_true", help="ingest again what has not changed, too")
        parser.add_argument(
            "--prune", action="store_true", help="delete documents whose files are gone from the folders named here"
        )

    def run(self, args: Namespace, context: CommandContext) -> int:
        """Send the files and print what became of them."""
        files = files_below(args.paths, Selection(globs=args.glob, excludes=args.exclude))
        if not files and not args.prune:
            raise NotFound("no file there is to be ingested; hidden ones are left out, and --glob and --exclude choose")
        server = context.server(args.url)
        there = _documents(server, args.collection)
        outcomes = _sent(args, context, _uploader(args, server, there), files)
        pruned = _pruned(args, server, there) if args.prune else []
        _report(args, context, outcomes, pruned)
        return FAILED if any(outcome.state == "failed" for outcome in outcomes) else 0


def _documents(server: ServerClient, collection: str) -> Sequence[Mapping[str, Any]]:
    try:
        return list(documents(server, collection))
    except LmxError as error:
        if error.code != "collection_not_found":
            raise
        return []


def _uploader(args: Namespace, server: ServerClient, there: Sequence[Mapping[str, Any]]) -> Uploader:
    named = ("collection", "chunking", "chunk_size", "chunk_overlap", "model")
    return Uploader(
        server=server,
        fields={name: str(value) for name in named if (value := getattr(args, name)) is not None},
        metadata=args.metadata,
        known={document["id"]: document["metadata"] for document in there},
        force=args.force,
    )


def _sent(
    args: Namespace, context: CommandContext, uploader: Uploader, files: Sequence[SourceFile]
) -> Sequence[Outcome]:
    show = bar(len(files)) if sys.stderr.isatty() else lines(context.output, quiet=args.json)
    try:
        with show as shown, closing(_followed(uploader, files, args.jobs, shown)) as outcomes:
            return list(outcomes)
    except KeyboardInterrupt:
        context.output.warn("stopped; what has been acknowledged is stored, and the same command goes on from there")
        raise


def _followed(uploader: Uploader, files: Sequence[SourceFile], jobs: int, show: Show) -> Generator[Outcome]:
    with closing(in_parallel(uploader.send, files, jobs)) as outcomes:
        for outcome in outcomes:
            show(outcome)
            yield outcome


def _pruned(args: Namespace, server: ServerClient, there: Sequence[Mapping[str, Any]]) -> Sequence[str]:
    ids = gone(there, args.paths)
    for document_id in ids:
        server.delete(document_path(args.collection, document_id))
    return ids


def _report(args: Namespace, context: CommandContext, outcomes: Sequence[Outcome], pruned: Sequence[str]) -> None:
    counts = {state: sum(outcome.state == state for outcome in outcomes) for state in STATES}
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    chunks = sum(outcome.chunks for outcome in outcomes)
    if args.json:
        failures = [{"path": outcome.file.shown, "reason": outcome.reason} for outcome in failed]
        report = {"collection": args.collection, **counts, "chunks": chunks, "failed": failures, "pruned": pruned}
        context.output.write_json(report)
        return
    removed = f", {len(pruned)} deleted" if args.prune else ""
    context.output.write(
        f"{args.collection}: {counts['ingested']} files ingested in {chunks} chunks, {counts['unchanged']} unchanged, "
        f"{counts['skipped']} skipped, {len(failed)} failed{removed}"
    )
    for outcome in failed:
        context.output.warn(f"{outcome.file.shown}: {outcome.reason}")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError("must be a whole number from 1 on")
    return int(text)
