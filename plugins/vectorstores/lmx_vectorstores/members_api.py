"""The handlers of the files in a vector store, and of file batches."""

from collections.abc import Mapping
from typing import Any

from lmx_hookspecs import Context, JsonResponse, Request, Response
from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.ownership import owner_of
from lmx_vectorstores import NAME
from lmx_vectorstores.batches_table import add_batch, cancel_batch, forget_batches, get_batch
from lmx_vectorstores.checks import checked_attributes
from lmx_vectorstores.desk import Desk
from lmx_vectorstores.joining import members_of, members_of_batch
from lmx_vectorstores.members_table import (
    COMPLETED,
    IN_PROGRESS,
    delete_member,
    get_member,
    list_members,
    set_attributes,
)
from lmx_vectorstores.objects import batch_object, member_object
from lmx_vectorstores.paging import Paging, Row, listed
from lmx_vectorstores.requests import MemberPage, NewMemberBody
from lmx_vectorstores.stores_table import add_members, get_store

POLL_AFTER = {"openai-poll-after-ms": "100"}
"""So soon it is worth a client's while to ask again about what is in progress."""


async def create_member(ctx: Context, request: Request) -> Response:
    """Have a file taken into a store."""
    desk: Desk = ctx.part(NAME)
    body: NewMemberBody = request.body
    store_id = request.path_params["store_id"]
    members = await members_of(ctx, owner_of(request.key), [body.file_id], body.attributes, body.chunking_strategy)
    await desk.join(add_members, store_id, members, desk.now())
    return JsonResponse(body=member_object(await desk.ledger.ask(get_member, store_id, body.file_id)))


async def list_store_files(ctx: Context, request: Request) -> Response:
    """A page of the files in a store."""
    desk: Desk = ctx.part(NAME)
    store_id = request.path_params["store_id"]
    await desk.ledger.ask(get_store, store_id)
    return await _page(desk, store_id, request.parameters)


async def retrieve_member(ctx: Context, request: Request) -> Response:
    """A file in a store."""
    desk: Desk = ctx.part(NAME)
    return _answer(member_object(await desk.ledger.ask(get_member, *_place(request))))


async def update_member(ctx: Context, request: Request) -> Response:
    """Replace its attributes."""
    desk: Desk = ctx.part(NAME)
    attributes = checked_attributes(request.body.attributes)
    return _answer(member_object(await desk.errands.run(_change(desk, _place(request), attributes))))


async def delete_one_member(ctx: Context, request: Request) -> Response:
    """Take a file out of a store; the file itself stays."""
    desk: Desk = ctx.part(NAME)
    store_id, file_id = _place(request)
    await desk.forget(delete_member, store_id, file_id)
    return JsonResponse(body={"id": file_id, "object": "vector_store.file.deleted", "deleted": True})


async def member_content(ctx: Context, request: Request) -> Response:
    """The text of a file in a store, as it was cut."""
    desk: Desk = ctx.part(NAME)
    store_id, file_id = _place(request)
    member = await desk.ledger.ask(get_member, store_id, file_id)
    if member["status"] != COMPLETED:
        raise InvalidRequest(
            f"the file {file_id!r} is {member['status']}: it has no text in this vector store", param="file_id"
        )
    stored = await desk.retrieval.store.document(store_id, file_id)
    return JsonResponse(
        body={
            "object": "vector_store.file_content.page",
            "file_id": file_id,
            "filename": member["filename"],
            "attributes": member["attributes"],
            "data": [{"type": "text", "text": chunk.text} for chunk in stored.chunks],
            "has_more": False,
            "next_page": None,
        }
    )


async def create_batch(ctx: Context, request: Request) -> Response:
    """Have several files taken into a store."""
    desk: Desk = ctx.part(NAME)
    store_id, batch_id = request.path_params["store_id"], desk.new_id("vsfb_")
    members = await members_of_batch(ctx, owner_of(request.key), request.body)
    await desk.join(add_batch, batch_id, store_id, members, desk.now())
    await desk.ledger.ask(forget_batches, store_id, desk.config.max_batches)
    return _answer(batch_object(await desk.ledger.ask(get_batch, store_id, batch_id)))


async def retrieve_batch(ctx: Context, request: Request) -> Response:
    """A batch as it is now."""
    desk: Desk = ctx.part(NAME)
    return _answer(batch_object(await desk.ledger.ask(get_batch, *_batch(request))))


async def cancel_one_batch(ctx: Context, request: Request) -> Response:
    """Take in no more of it; what is in the store stays there."""
    desk: Desk = ctx.part(NAME)
    await desk.forget(cancel_batch, *_batch(request))
    return _answer(batch_object(await desk.ledger.ask(get_batch, *_batch(request))))


async def list_batch_files(ctx: Context, request: Request) -> Response:
    """A page of the files of a batch."""
    desk: Desk = ctx.part(NAME)
    store_id, batch_id = _batch(request)
    await desk.ledger.ask(get_batch, store_id, batch_id)
    return await _page(desk, store_id, request.parameters, batch_id)


async def _change(desk: Desk, place: tuple[str, str], attributes: Mapping[str, Any]) -> Row:
    member = await desk.ledger.ask(set_attributes, *place, attributes)
    await desk.changes.make(*place)
    return member


async def _page(desk: Desk, store_id: str, wanted: MemberPage, batch_id: str | None = None) -> Response:
    paging = Paging(limit=wanted.limit, order=wanted.order, after=wanted.after, before=wanted.before)
    rows, has_more = await desk.ledger.ask(list_members, store_id, paging, status=wanted.filter, batch_id=batch_id)
    return JsonResponse(body=listed([member_object(row) for row in rows], has_more=has_more))


def _answer(told: dict[str, Any]) -> Response:
    return JsonResponse(body=told, headers=POLL_AFTER if told["status"] == IN_PROGRESS else {})


def _place(request: Request) -> tuple[str, str]:
    return request.path_params["store_id"], request.path_params["file_id"]


def _batch(request: Request) -> tuple[str, str]:
    return request.path_params["store_id"], request.path_params["batch_id"]
