"""`/v1/rag/collections`: what collections there are, making, copying and deleting them."""

import asyncio
import secrets
from collections.abc import Sequence
from pathlib import Path
from time import time

from lmx_hookspecs import Context, EmbeddingRequest, Request, Response
from lmx_hookspecs.envelope import envelope_fields
from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.files import file_response
from lmx_hookspecs.ownership import collection_for, is_visible
from lmx_hookspecs.places import home
from lmx_hookspecs.retrieval import CollectionInfo, CollectionSettings
from lmx_rag.answers import CollectionAnswer, CollectionsAnswer, DroppedAnswer
from lmx_rag.wire import checked_name, reply, retrieval

EXPORTS = "exports"
FORGOTTEN_S = 86_400.0
"""A snapshot as old as this belongs to a server that died while it was written."""


async def list_collections(ctx: Context, request: Request) -> Response:
    """All that are everybody's, and the key's own."""
    infos = await retrieval(ctx).store.collections()
    found = [_answer(info) for info in infos if is_visible(info, request.key)]
    return reply(
        CollectionsAnswer(
            total_documents=sum(one.document_count for one in found),
            total_chunks=sum(one.chunk_count for one in found),
            collection_count=len(found),
            collections=found,
        )
    )


async def get_collection(ctx: Context, request: Request) -> Response:
    """One."""
    return reply(_answer(await collection_for(retrieval(ctx).store, request.path_params["collection"], request.key)))


async def create_collection(ctx: Context, request: Request) -> Response:
    """Make an empty one; its vectors are as long as those that its model makes."""
    body = request.body
    name, store = checked_name(body.name, "name"), retrieval(ctx).store
    rag = ctx.services.config.section("rag")
    asked = EmbeddingRequest(
        model=body.embedding_model or rag.embedding_model or "auto",
        inputs=[name],
        dimensions=body.dimensions or rag.embedding_dimensions,
        surface="rag",
        **envelope_fields(request),
    )
    made = await ctx.services.embed(asked)
    settings = CollectionSettings(
        embedding_model=made.model,
        dimensions=len(made.vectors[0]),
        languages=_languages(body.languages) if body.languages is not None else rag.languages,
        metadata=body.metadata,
    )
    return reply(_answer(await store.create(name, settings)), 201)


def _languages(codes: Sequence[str]) -> Sequence[str]:
    if not all(len(code) == 2 and code.isascii() and code.islower() and code.isalpha() for code in codes):
        raise InvalidRequest("languages must be ISO 639-1 codes such as en", param="languages")
    return codes


async def drop_collection(ctx: Context, request: Request) -> Response:
    """Delete one with everything in it."""
    name, store = request.path_params["collection"], retrieval(ctx).store
    documents = (await collection_for(store, name, request.key)).documents
    chunks = await store.drop(name)
    return reply(DroppedAnswer(collection=name, documents_deleted=documents, chunks_deleted=chunks))


async def export_collection(ctx: Context, request: Request) -> Response:
    """A consistent copy as a file."""
    name, store = request.path_params["collection"], retrieval(ctx).store
    await collection_for(store, name, request.key)  # an unknown one is a 404 before anything is written
    file = await asyncio.to_thread(_new_file, home() / EXPORTS)
    # The store goes on writing when the client goes away: what it writes is removed once it is through.
    written = asyncio.create_task(store.snapshot(name, file), name=f"export {name}")
    try:
        await asyncio.shield(written)
        return await file_response(file, name=f"{name}.snapshot", temporary=True)
    except BaseException:
        written.add_done_callback(lambda _: file.unlink(missing_ok=True))
        raise


async def import_collection(ctx: Context, request: Request) -> Response:
    """Make a collection from such a copy."""
    name, store = checked_name(request.path_params["collection"]), retrieval(ctx).store
    if not request.files:
        raise InvalidRequest("file is missing: send multipart/form-data with a file that export made", param="file")
    return reply(_answer(await store.restore(request.files[0].path, name)), 201)


def _new_file(folder: Path) -> Path:
    """The path of a file that is not there yet, in a folder of our own; removes what was forgotten there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for entry in folder.iterdir():
        if entry.is_file() and time() - entry.stat().st_mtime > FORGOTTEN_S:
            entry.unlink(missing_ok=True)
    return folder / f"{secrets.token_hex(16)}.snapshot"


def _answer(info: CollectionInfo) -> CollectionAnswer:
    return CollectionAnswer(
        name=info.name,
        document_count=info.documents,
        chunk_count=info.chunks,
        embedding_dimensions=info.dimensions,
        embedding_model=info.embedding_model,
        languages=list(info.languages),
        metadata=dict(info.metadata),
        created_at=info.created_at,
        vector_index=info.vector_index,
    )
