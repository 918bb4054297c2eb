"""The handlers of /v1/vector_stores."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve

from lmx_hookspecs import Context, EmbeddingRequest, JsonResponse, Request, Response
from lmx_hookspecs.envelope import envelope_fields
from lmx_hookspecs.errors import InvalidRequest, UnsupportedParameter
from lmx_hookspecs.ownership import owner_of
from lmx_hookspecs.retrieval import CollectionSettings
from lmx_vectorstores import NAME
from lmx_vectorstores.checks import checked_metadata
from lmx_vectorstores.desk import STORE_PREFIX, Desk
from lmx_vectorstores.joining import members_of
from lmx_vectorstores.members_table import NewMember
from lmx_vectorstores.objects import store_object
from lmx_vectorstores.paging import Paging, listed
from lmx_vectorstores.removals_table import remove_collection
from lmx_vectorstores.requests import KEEP_EXPIRY, KEEP_METADATA, NewStoreBody, StoreChange, StorePage
from lmx_vectorstores.stores_table import (
    NewStore,
    add_store,
    change_store,
    check_store_room,
    delete_store,
    get_store,
    list_stores,
)

PROBE = "a vector store"
"""Is embedded to learn which model embeds, and how long its vectors are."""


async def create_store(ctx: Context, request: Request) -> Response:
    """Make a vector store, and have files taken into it."""
    desk: Desk = ctx.part(NAME)
    body: NewStoreBody = request.body
    owner, metadata = owner_of(request.key), checked_metadata(body.metadata)
    members = await members_of(ctx, owner, body.file_ids or (), {}, body.chunking_strategy)
    await desk.ledger.ask(check_store_room, desk.config.max_vector_stores)
    store = NewStore(
        id=desk.new_id(STORE_PREFIX),
        owner=owner,
        name=body.name or "",
        description=body.description,
        metadata=metadata,
        created_at=desk.now(),
        expires_days=body.expires_after.days if body.expires_after else None,
    )
    await desk.errands.run(_make(desk, store, await _settings(ctx, request), members))
    return await _told(desk, store.id)


async def list_all_stores(ctx: Context, request: Request) -> Response:
    """A page of the key's vector stores."""
    desk: Desk = ctx.part(NAME)
    wanted: StorePage = request.parameters
    paging = Paging(limit=wanted.limit, order=wanted.order, after=wanted.after, before=wanted.before)
    rows, has_more = await desk.ledger.ask(list_stores, owner_of(request.key), paging)
    now = desk.now()
    return JsonResponse(body=listed([store_object(row, now) for row in rows], has_more=has_more))


async def retrieve_store(ctx: Context, request: Request) -> Response:
    """One as it is now."""
    return await _told(ctx.part(NAME), request.path_params["store_id"])


async def update_store(ctx: Context, request: Request) -> Response:
    """Change its name, its metadata, when it expires."""
    desk: Desk = ctx.part(NAME)
    store_id = request.path_params["store_id"]
    await desk.errands.run(_update(desk, store_id, _changes(request.body)))
    return await _told(desk, store_id)


async def delete_one_store(ctx: Context, request: Request) -> Response:
    """Forget it, and not the files that were in it."""
    desk: Desk = ctx.part(NAME)
    store_id = request.path_params["store_id"]
    await desk.forget(delete_store, store_id)
    return JsonResponse(body={"id": store_id, "object": "vector_store.deleted", "deleted": True})


async def _make(desk: Desk, store: NewStore, settings: CollectionSettings, members: Sequence[NewMember]) -> None:
    """All or nothing: its collection is to be removed, after a crash as well, until the database has the store."""
    try:
        async with desk.removals.turn:
            await desk.ledger.ask(remove_collection, store.id)
            await desk.retrieval.store.create(store.id, settings)
            await desk.ledger.ask(add_store, store, members, desk.config.max_vector_stores)
    finally:
        desk.work()


async def _update(desk: Desk, store_id: str, changes: Mapping[str, Any]) -> None:
    await desk.ledger.ask(change_store, store_id, changes)
    desk.work()


def _changes(body: StoreChange) -> Mapping[str, Any]:
    changes: dict[str, Any] = {}
    if body.name is not None:
        changes["name"] = body.name
    if body.metadata is not KEEP_METADATA:
        changes["metadata"] = checked_metadata(body.metadata)
    if body.expires_after is not KEEP_EXPIRY:
        changes["expires_days"] = body.expires_after.days if body.expires_after else None
    return changes


async def _settings(ctx: Context, request: Request) -> CollectionSettings:
    """Those of a new collection, by the model that embeds for it from now on; raises what `Services.embed` raises."""
    rag = ctx.services.config.section("rag")
    asked = EmbeddingRequest(
        model=rag.embedding_model or "auto",
        inputs=[PROBE],
        dimensions=rag.embedding_dimensions,
        surface="vector_stores",
        **envelope_fields(request),
    )
    try:
        embedded = await ctx.services.embed(asked)
    except UnsupportedParameter as error:
        if error.param != "dimensions":
            raise
        embedded = await ctx.services.embed(evolve(asked, dimensions=None))  # its vectors may have that length anyway
    dimensions = len(embedded.vectors[0])
    if asked.dimensions not in (None, dimensions):
        raise InvalidRequest(
            f"model {embedded.model!r} makes vectors of {dimensions} dimensions, and rag.embedding_dimensions is "
            f"{asked.dimensions}",
            code="dimension_mismatch",
        )
    return CollectionSettings(
        embedding_model=embedded.model,
        dimensions=dimensions,
        languages=list(rag.languages),
        owner=owner_of(request.key),
    )


async def _told(desk: Desk, store_id: str) -> Response:
    return JsonResponse(body=store_object(await desk.ledger.ask(get_store, store_id), desk.now()))
