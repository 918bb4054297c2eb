"""The routes of `/v1/rag`."""

from functools import partial
from typing import Any

from lmx_hookspecs import Route
from lmx_hookspecs.http import Handler, imported_handler
from lmx_hookspecs.unsupported import checked
from lmx_rag import answers, requests

COLLECTIONS = "/v1/rag/collections"
COLLECTION = f"{COLLECTIONS}/{{collection}}"
DOCUMENTS = f"{COLLECTION}/documents"
DOCUMENT = f"{DOCUMENTS}/{{id:path}}"


def _told(handler: Handler, **facts: Any) -> Route:
    """A route with a body."""
    return Route(handler=checked(handler), allow_unknown=True, **facts)


_get = partial(Route, method="GET")
_ask = partial(_told, method="POST")
_post = partial(_told, method="POST", auth="any_key")
_patch = partial(_told, method="PATCH", auth="any_key")
_delete = partial(Route, method="DELETE", auth="any_key", shed=False)


ROUTES = (
    _post(
        path="/v1/rag/ingest",
        handler=imported_handler("lmx_rag.ingest", "ingest_texts"),
        summary="Store texts in a collection",
        body=requests.IngestBody,
        answer=answers.IngestAnswer,
    ),
    _post(
        path="/v1/rag/documents",
        handler=imported_handler("lmx_rag.ingest", "ingest_files"),
        summary="Store what files hold in a collection",
        body=requests.UploadBody,
        answer=answers.IngestAnswer,
        max_files=requests.MAX_DOCUMENTS,
    ),
    _ask(
        path="/v1/rag/query",
        handler=imported_handler("lmx_rag.search", "query"),
        summary="Find chunks of a collection",
        body=requests.QueryBody,
        answer=answers.QueryAnswer,
    ),
    _ask(
        path="/v1/rag/context",
        handler=imported_handler("lmx_rag.search", "context"),
        summary="Find chunks of several collections, and make one text for a prompt of them",
        body=requests.ContextBody,
        answer=answers.ContextAnswer,
    ),
    _get(
        path=COLLECTIONS,
        handler=imported_handler("lmx_rag.shelves", "list_collections"),
        summary="All collections",
        answer=answers.CollectionsAnswer,
    ),
    _post(
        path=COLLECTIONS,
        handler=imported_handler("lmx_rag.shelves", "create_collection"),
        summary="Make an empty collection",
        body=requests.CreateBody,
        answers={201: answers.CollectionAnswer},
    ),
    _get(
        path=COLLECTION,
        handler=imported_handler("lmx_rag.shelves", "get_collection"),
        summary="One collection",
        answer=answers.CollectionAnswer,
    ),
    _delete(
        path=COLLECTION,
        handler=imported_handler("lmx_rag.shelves", "drop_collection"),
        summary="Delete a collection with everything in it",
        answer=answers.DroppedAnswer,
    ),
    _get(
        path=f"{COLLECTION}/export",
        handler=imported_handler("lmx_rag.shelves", "export_collection"),
        summary="A copy of a collection as a file",
        content_type="application/octet-stream",
    ),
    _post(
        path=f"{COLLECTION}/import",
        handler=imported_handler("lmx_rag.shelves", "import_collection"),
        summary="Make a collection from such a copy",
        answers={201: answers.CollectionAnswer},
        max_files=1,
    ),
    _get(
        path=DOCUMENTS,
        handler=imported_handler("lmx_rag.documents", "list_documents"),
        summary="The documents of a collection, by id",
        query=requests.DocumentsQuery,
        answer=answers.DocumentsAnswer,
    ),
    _get(
        path=DOCUMENT,
        handler=imported_handler("lmx_rag.documents", "get_document"),
        summary="A document with its chunks",
        answer=answers.StoredAnswer,
    ),
    _patch(
        path=DOCUMENT,
        handler=imported_handler("lmx_rag.documents", "update_document"),
        summary="Replace a document's metadata",
        body=requests.MetadataBody,
        answer=answers.DocumentAnswer,
    ),
    _delete(
        path=DOCUMENT,
        handler=imported_handler("lmx_rag.documents", "delete_document"),
        summary="Delete a document",
        answer=answers.DeletedAnswer,
    ),
)
