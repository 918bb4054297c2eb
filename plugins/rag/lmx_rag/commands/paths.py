"""Paths of the server, and what is read from several of them."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from lmx_hookspecs import ServerClient
from lmx_hookspecs.errors import InvalidRequest
from lmx_rag.wire import checked_name

COLLECTIONS = "/v1/rag/collections"
DEFAULT_COLLECTION = "default"
PAGE = 1000


def collection_path(collection: str, *more: str) -> str:
    """The path of a collection, or of something below it; raises InvalidRequest for what no collection is called."""
    return "/".join([COLLECTIONS, quote(checked_name(collection, "the name of a collection"), safe=""), *more])


def document_path(collection: str, document_id: str) -> str:
    """The path of a document, whose id may hold slashes."""
    if document_id.strip("/") in {"", ".", ".."}:
        raise InvalidRequest(
            f"{document_id!r} is no id of a document; `lmx rag collections NAME --documents` lists them"
        )
    return collection_path(collection, "documents", quote(document_id, safe="/"))


def documents(server: ServerClient, collection: str) -> Iterator[Mapping[str, Any]]:
    """All documents of a collection by id, without their chunks; raises LmxError."""
    after: str | None = ""
    while after is not None:
        query = f"?limit={PAGE}&after={quote(after, safe='')}"
        page = server.get(collection_path(collection, "documents") + query)
        yield from page["documents"]
        after = page["next"]
