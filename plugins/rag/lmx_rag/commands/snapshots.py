"""`lmx rag export` and `lmx rag import`: a collection as one file."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from lmx_hookspecs import CommandContext
from lmx_hookspecs.errors import Conflict, InvalidRequest
from lmx_rag.commands.paths import collection_path


class Export:
    """Write a collection to a file."""

    def configure(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("collection", help="the collection")
        parser.add_argument("file", type=Path, help="the file to write; it must not be there yet")

    def run(self, args: Namespace, context: CommandContext) -> int:
        """Fetch the snapshot under a provisional name, so that the file is whole once it is there."""
        if args.file.exists():
            raise Conflict(f"{args.file} is there already; name another file, or delete it first")
        partial = args.file.with_name(f"{args.file.name}.partial")
        try:
            partial.unlink(missing_ok=True)
            size_bytes = context.server(args.url).download(collection_path(args.collection, "export"), partial)
            partial.rename(args.file)
        except OSError as error:
            raise InvalidRequest(f"cannot write {args.file}: {error.strerror or error}") from error
        if args.json:
            context.output.write_json({"collection": args.collection, "file": str(args.file), "size_bytes": size_bytes})
        else:
            context.output.write(f"{args.collection} is in {args.file}: {size_bytes:,} bytes")
        return 0


class Import:
    """Make a collection from a file."""

    def configure(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("file", type=Path, help="a file that `lmx rag export` wrote")
        parser.add_argument("collection", help="the collection to make; it must not be there yet")

    def run(self, args: Namespace, context: CommandContext) -> int:
        """Send the file."""
        server = context.server(args.url)
        try:
            made = server.upload(collection_path(args.collection, "import"), [(args.file.name, args.file)], {})
        except OSError as error:
            raise InvalidRequest(f"cannot read {args.file}: {error.strerror or error}") from error
        if args.json:
            context.output.write_json(made)
        else:
            context.output.write(f"{args.collection} is here: `lmx rag collections {args.collection}` shows it")
        return 0
