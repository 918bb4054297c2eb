"""`/v1/rag/collections/{collection}/documents`: what was stored, document by document."""

import json
from collections.abc import Mapping
from typing import Any

from attrs import asdict

from lmx_hookspecs import Context, Request, Response
from lmx_hookspecs.errors import InvalidRequest, NotFound
from lmx_hookspecs.retrieval import DocumentInfo, StoredDocument, chunk_id
from lmx_rag.answers import ChunkAnswer, DeletedAnswer, DocumentAnswer, DocumentsAnswer, StoredAnswer
from lmx_rag.origin import kept
from lmx_rag.requests import DocumentsQuery, MetadataBody
from lmx_rag.wire import reply, store_for


async def list_documents(ctx: Context, request: Request) -> Response:
    """A page of documents."""
    name, asked = request.path_params["collection"], request.parameters
    store, filter_ = await store_for(ctx, request), _filter(asked)
    page = await store.documents(name, after=asked.after, limit=asked.limit, filter=filter_)
    found = [_answer(info) for info in page.documents]
    more = len(found) == asked.limit and bool(
        (await store.documents(name, after=found[-1].id, limit=1, filter=filter_)).documents
    )
    return reply(
        DocumentsAnswer(collection=name, documents=found, total=page.total, next=found[-1].id if more else None)
    )


async def get_document(ctx: Context, request: Request) -> Response:
    """One, with its chunks."""
    name, document_id = _place(request)
    return reply(_stored(await (await store_for(ctx, request)).document(name, document_id)))


async def update_document(ctx: Context, request: Request) -> Response:
    """Replace its metadata, but for what says where it came from; nothing is embedded again."""
    name, document_id = _place(request)
    body: MetadataBody = request.body
    store = await store_for(ctx, request)
    before = (await store.document(name, document_id)).info.metadata
    return reply(_answer(await store.update_metadata(name, document_id, kept(before, body.metadata))))


async def delete_document(ctx: Context, request: Request) -> Response:
    """Delete one."""
    name, document_id = _place(request)
    if not await (await store_for(ctx, request)).delete(name, [document_id]):
        raise NotFound(
            f"collection {name!r} has no document {document_id!r}; "
            f"GET /v1/rag/collections/{name}/documents lists what it has",
            code="document_not_found",
            param="id",
        )
    return reply(DeletedAnswer(collection=name, document_id=document_id))


def _place(request: Request) -> tuple[str, str]:
    return request.path_params["collection"], request.path_params["id"]


def _filter(asked: DocumentsQuery) -> Mapping[str, Any] | None:
    if asked.filter is None:
        return None
    try:
        data = json.loads(asked.filter)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise InvalidRequest(
            'filter must be a JSON object such as {"type": "eq", "key": "author", "value": "Ada"}', param="filter"
        )
    return data


def _answer(info: DocumentInfo) -> DocumentAnswer:
    return DocumentAnswer(**asdict(info, recurse=False))


def _stored(stored: StoredDocument) -> StoredAnswer:
    chunks = [
        ChunkAnswer(
            id=chunk_id(stored.info.id, chunk.index),
            index=chunk.index,
            text=chunk.text,
            section=chunk.title,
            start=chunk.start,
            end=chunk.end,
            tokens=chunk.tokens,
            metadata=dict(chunk.metadata),
        )
        for chunk in stored.chunks
    ]
    return StoredAnswer(document=_answer(stored.info), chunks=chunks)
