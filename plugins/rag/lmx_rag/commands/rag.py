"""`lmx rag`: its subcommands in one table."""

from argparse import ArgumentParser, Namespace

from lmx_hookspecs import Command, CommandContext
from lmx_rag.commands.collections import Collections
from lmx_rag.commands.eval import Eval
from lmx_rag.commands.ingest import Ingest
from lmx_rag.commands.query import Query
from lmx_rag.commands.rm import Rm
from lmx_rag.commands.snapshots import Export, Import

SUBCOMMANDS: tuple[tuple[str, str, type[Command]], ...] = (
    ("ingest", "put files and folders into a collection; what has not changed is left alone", Ingest),
    ("query", "search collections", Query),
    ("collections", "list the collections, or show one", Collections),
    ("rm", "delete a collection, or documents of it", Rm),
    ("export", "write a collection to a file", Export),
    ("import", "make a collection from such a file", Import),
    ("eval", "measure how well searches find what they should, by relevance judgements", Eval),
)


class RagCommand:
    """The subcommands; each is a command of its own."""

    def configure(self, parser: ArgumentParser) -> None:
        """Declare the subcommands."""
        commands = parser.add_subparsers(metavar="COMMAND", required=True)
        for name, meaning, make in SUBCOMMANDS:
            subcommand = make()
            subparser = commands.add_parser(name, help=meaning, description=meaning)
            subcommand.configure(subparser)
            subparser.add_argument("--url", help="the server to ask (default: the configured one)")
            subparser.add_argument("--json", action="store_true", help="print JSON")
            subparser.set_defaults(run=subcommand.run)

    def run(self, args: Namespace, context: CommandContext) -> int:
        """Run the chosen subcommand."""
        status: int = args.run(args, context)
        return status
