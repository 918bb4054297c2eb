"""`lmx rag collections`: what is stored."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from lmx_hookspecs import CommandContext
from lmx_rag.commands.paths import COLLECTIONS, collection_path, documents

COLUMNS = ("name", "documents", "chunks", "embedding model", "dimensions", "vector index", "created")
DOCUMENT_COLUMNS = ("id", "chunks", "tokens", "updated", "title")


class Collections:
    """List all, or show one."""

    def configure(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("collection", nargs="?", help="show everything that is known of this one")
        parser.add_argument("--documents", action="store_true", help="list its documents too")

    def run(self, args: Namespace, context: CommandContext) -> int:
        """Print a table, or the facts of one."""
        if args.collection is not None:
            return _show(args, context)
        answer = context.server(args.url).get(COLLECTIONS)
        if args.json:
            context.output.write_json(answer)
        elif answer["collections"]:
            context.output.write_table(COLUMNS, [_row(collection) for collection in answer["collections"]])
        else:
            context.output.write("no collections: `lmx rag ingest PATH` makes one")
        return 0


def _show(args: Namespace, context: CommandContext) -> int:
    server, output = context.server(args.url), context.output
    facts = dict(server.get(collection_path(args.collection)))
    listed = list(documents(server, args.collection)) if args.documents else None
    if args.json:
        output.write_json(facts if listed is None else {**facts, "documents": listed})
        return 0
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        output.write(f"{name.ljust(width)}  {_shown(name, value)}")
    if listed:
        output.write()
        output.write_table(DOCUMENT_COLUMNS, [_document_row(document) for document in listed])
    return 0


def _row(collection: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        collection["name"],
        str(collection["document_count"]),
        str(collection.get("chunk_count", "-")),
        collection.get("embedding_model") or "-",
        str(collection.get("embedding_dimensions") or "-"),
        collection.get("vector_index") or "-",
        _shown("created_at", collection.get("created_at")),
    )


def _document_row(document: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        document["id"],
        str(document.get("chunks", "-")),
        str(document.get("tokens", "-")),
        _shown("updated_at", document.get("updated_at")),
        document.get("title") or "-",
    )


def _shown(name: str, value: Any) -> str:
    if value is None or value in ({}, [], ""):
        return "-"
    if name.endswith("_at") and isinstance(value, int | float):
        return datetime.fromtimestamp(value).astimezone().isoformat(" ", "seconds")
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{key}: {member}" for key, member in value.items())
    return str(value)
