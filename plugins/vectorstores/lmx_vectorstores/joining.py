"""Which files are to be taken into a store, and how."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lmx_hookspecs import Context
from lmx_hookspecs.errors import InvalidRequest
from lmx_vectorstores import NAME
from lmx_vectorstores.checks import checked_attributes, chunk_sizes
from lmx_vectorstores.files_table import owned_file
from lmx_vectorstores.members_table import NewMember
from lmx_vectorstores.requests import NewBatchBody

if TYPE_CHECKING:
    from lmx_vectorstores.desk import Desk


async def members_of(
    ctx: Context,
    owner: str,
    file_ids: Sequence[str],
    attributes: Mapping[str, Any] | None,
    strategy: Mapping[str, Any] | None,
) -> list[NewMember]:
    """Each file once; raises NotFound for one that is not there or somebody else's, InvalidRequest."""
    members = [member_of(ctx, file_id, attributes, strategy) for file_id in dict.fromkeys(file_ids)]
    return await _there(ctx, owner, members)


async def members_of_batch(ctx: Context, owner: str, body: NewBatchBody) -> list[NewMember]:
    """The files of a batch; raises as `members_of` does."""
    if (body.file_ids is None) == (body.files is None):
        raise InvalidRequest("send file_ids, or files", param="file_ids")
    if body.files is None:
        return await members_of(ctx, owner, body.file_ids or (), body.attributes, body.chunking_strategy)
    if body.attributes or body.chunking_strategy:
        raise InvalidRequest(
            "attributes and chunking_strategy go with file_ids; with files, each has its own",
            param="attributes" if body.attributes else "chunking_strategy",
        )
    by_id = {
        file.file_id: member_of(ctx, file.file_id, file.attributes, file.chunking_strategy, f"files[{place}].")
        for place, file in enumerate(body.files)
    }
    return await _there(ctx, owner, list(by_id.values()))


def member_of(
    ctx: Context,
    file_id: str,
    attributes: Mapping[str, Any] | None,
    strategy: Mapping[str, Any] | None,
    place: str = "",
) -> NewMember:
    """One file; raises InvalidRequest."""
    rag = ctx.services.config.section("rag")
    size, overlap = chunk_sizes(
        strategy, (rag.default_chunk_size, rag.default_chunk_overlap), f"{place}chunking_strategy"
    )
    return NewMember(
        file_id=file_id,
        attributes=checked_attributes(attributes, f"{place}attributes"),
        chunk_size=size,
        chunk_overlap=overlap,
    )


async def _there(ctx: Context, owner: str, members: list[NewMember]) -> list[NewMember]:
    desk: Desk = ctx.part(NAME)
    for member in members:
        await desk.ledger.ask(owned_file, member.file_id, owner)
    return members
