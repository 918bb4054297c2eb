"""`lmx rag rm`: deletes a collection, or documents of it."""

from argparse import ArgumentParser, Namespace

from lmx_hookspecs import CommandContext, LmxError, ServerClient
from lmx_rag.commands.paths import collection_path, document_path

REFUSED = 1


class Rm:
    """Ask, then delete."""

    def configure(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("collection", help="the collection")
        parser.add_argument("documents", nargs="*", metavar="DOCUMENT", help="only these documents of it, by their ids")
        parser.add_argument("-y", "--yes", action="store_true", help="do not ask")

    def run(self, args: Namespace, context: CommandContext) -> int:
        """Ask unless told not to, then delete."""
        server = context.server(args.url)
        if not args.yes and not _agreed(_question(args, server)):
            context.output.warn("nothing was deleted")
            return REFUSED
        return _documents(args, context, server) if args.documents else _collection(args, context, server)


def _collection(args: Namespace, context: CommandContext, server: ServerClient) -> int:
    answer = server.delete(collection_path(args.collection))
    if args.json:
        context.output.write_json(answer)
    else:
        context.output.write(f"{args.collection} is deleted")
    return 0


def _documents(args: Namespace, context: CommandContext, server: ServerClient) -> int:
    deleted, missing = [], []
    for document_id in args.documents:
        try:
            server.delete(document_path(args.collection, document_id))
            deleted.append(document_id)
        except LmxError as error:
            if error.code != "document_not_found":
                raise
            missing.append(document_id)
            context.output.warn(error.message)
    if args.json:
        context.output.write_json({"collection": args.collection, "deleted": deleted, "missing": missing})
    else:
        context.output.write(f"{len(deleted)} documents of {args.collection} are deleted")
    return REFUSED if missing else 0


def _question(args: Namespace, server: ServerClient) -> str:
    if args.documents:
        return f"delete {len(args.documents)} documents of {args.collection}? [y/N] "
    collection = server.get(collection_path(args.collection))
    return f"delete {args.collection} with its {collection['document_count']} documents? [y/N] "


def _agreed(question: str) -> bool:
    try:
        return input(question).strip().lower() in {"y", "yes"}
    except EOFError:
        return False
