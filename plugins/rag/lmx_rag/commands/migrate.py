"""`lmx rag migrate`: the collections of Opta-LMX, from its `rag-store.json`."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from lmx_hookspecs import CommandContext, ServerClient
from lmx_hookspecs.errors import InvalidRequest

BATCH = 50
LARGEST_CHUNK = 2048
"""Tokens; the earlier system cut texts before it stored them, and so large a piece is hardly ever cut again."""
DEFAULT_FILE = Path("~/.opta-lmx/rag-store.json")


@frozen(kw_only=True)
class Entry:
    """A chunk of the earlier store; its vector is left behind, since nothing tells which model made it."""

    id: str
    text: str
    metadata: Mapping[str, Any]


class Migrate:
    """Send every text under its old id; what is there already, unchanged, is left alone."""

    def configure(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument(
            "file", nargs="?", type=Path, default=DEFAULT_FILE, help=f"the earlier store (default: {DEFAULT_FILE})"
        )

    def run(self, args: Namespace, context: CommandContext) -> int:
        """Send the collections, one after the other."""
        collections = read_store(args.file.expanduser())
        server = context.server(args.url)
        stored = {name: _sent(server, name, entries) for name, entries in collections.items()}
        if args.json:
            context.output.write_json({"collections": stored})
            return 0
        for name, count in stored.items():
            context.output.write(f"{name}: {count} documents")
        return 0


def read_store(file: Path) -> Mapping[str, Sequence[Entry]]:
    """The texts of each collection that has some; raises InvalidRequest."""
    try:
        data = json.loads(file.read_bytes())
    except OSError as error:
        raise InvalidRequest(f"cannot read {file}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"{file} is no rag-store.json: {error}") from error
    if not isinstance(data, dict):
        raise InvalidRequest(f"{file} is no rag-store.json: it holds no collections by name")
    found = {name: list(_entries(file, name, entries)) for name, entries in data.items()}
    return {name: entries for name, entries in found.items() if entries}


def _entries(file: Path, name: str, entries: Any) -> Iterator[Entry]:
    for place, entry in enumerate(entries if isinstance(entries, list) else ()):
        one = entry if isinstance(entry, dict) else {}
        document_id, text, metadata = one.get("id"), one.get("text"), one.get("metadata")
        if not (isinstance(document_id, str) and document_id and isinstance(text, str)):
            raise InvalidRequest(f"{file}: entry {place} of collection {name!r} has no id or no text")
        if text.strip():
            yield Entry(id=document_id, text=text, metadata=metadata if isinstance(metadata, dict) else {})


def _sent(server: ServerClient, name: str, entries: Sequence[Entry]) -> int:
    once = list({entry.id: entry for entry in entries}.values())
    for start in range(0, len(once), BATCH):
        some = once[start : start + BATCH]
        body = {
            "collection": name,
            "documents": [entry.text for entry in some],
            "document_ids": [entry.id for entry in some],
            "metadata": [entry.metadata for entry in some],
            "chunk_size": LARGEST_CHUNK,
            "chunk_overlap": 0,
            "skip_unchanged": True,
        }
        server.post("/v1/rag/ingest", body)
    return len(once)
