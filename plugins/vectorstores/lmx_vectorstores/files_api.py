"""The handlers of /v1/files."""

from typing import TYPE_CHECKING

from lmx_hookspecs import Context, JsonResponse, Request, Response, UploadedFile
from lmx_hookspecs.errors import InvalidRequest, NotFound, TooLarge
from lmx_hookspecs.files import file_response
from lmx_hookspecs.ownership import owner_of
from lmx_vectorstores import NAME
from lmx_vectorstores.files_table import NewFile, get_file, list_files
from lmx_vectorstores.objects import file_object
from lmx_vectorstores.paging import Paging, listed

if TYPE_CHECKING:
    from lmx_vectorstores.desk import Desk
    from lmx_vectorstores.requests import FilePage, FileUpload

BATCH_FILES_EXPIRE_S = 2_592_000
FIELD = "file"


async def upload_file(ctx: Context, request: Request) -> Response:
    """Keep a file."""
    desk: Desk = ctx.part(NAME)
    body: FileUpload = request.body
    upload = _uploaded(request, desk.config.max_file_bytes)
    now = desk.now()
    wanted_s = BATCH_FILES_EXPIRE_S if body.purpose == "batch" else None
    expires_s = body.expires_after.seconds if body.expires_after else wanted_s
    file = NewFile(
        id=desk.new_id("file-"),
        owner=owner_of(request.key),
        filename=upload.name,
        purpose=body.purpose,
        media_type=upload.media_type,
        size_bytes=upload.size_bytes,
        created_at=now,
        expires_at=None if expires_s is None else now + expires_s,
    )
    return JsonResponse(body=file_object(await desk.keep_file(upload.path, file)))


async def list_all_files(ctx: Context, request: Request) -> Response:
    """A page of the key's files."""
    desk: Desk = ctx.part(NAME)
    wanted: FilePage = request.parameters
    paging = Paging(limit=wanted.limit, order=wanted.order, after=wanted.after)
    rows, has_more = await desk.ledger.ask(list_files, owner_of(request.key), paging, wanted.purpose)
    return JsonResponse(body=listed([file_object(row) for row in rows], has_more=has_more))


async def retrieve_file(ctx: Context, request: Request) -> Response:
    """What is known of a file."""
    desk: Desk = ctx.part(NAME)
    return JsonResponse(body=file_object(await desk.ledger.ask(get_file, request.path_params["file_id"])))


async def file_content(ctx: Context, request: Request) -> Response:
    """Its bytes, never as something that a browser would show."""
    desk: Desk = ctx.part(NAME)
    file = await desk.ledger.ask(get_file, request.path_params["file_id"])
    try:
        return await file_response(desk.blobs.path(file["id"]), name=file["filename"])
    except FileNotFoundError as error:
        raise NotFound(f"the bytes of {file['id']!r} are gone; delete the file, and upload it again") from error


async def delete_one_file(ctx: Context, request: Request) -> Response:
    """Forget a file, in vector stores as well."""
    desk: Desk = ctx.part(NAME)
    file_id = request.path_params["file_id"]
    await desk.drop_file(file_id)
    return JsonResponse(body={"id": file_id, "object": "file", "deleted": True})


def _uploaded(request: Request, max_bytes: int) -> UploadedFile:
    if not request.files:
        raise InvalidRequest("file is required: send a form (multipart/form-data) with a file", param=FIELD)
    upload = request.files[0]
    if upload.field != FIELD:
        raise InvalidRequest(f"the form's file must be called {FIELD!r}, and is {upload.field!r}", param=FIELD)
    if upload.size_bytes > max_bytes:
        raise TooLarge(
            f"the file has {upload.size_bytes} bytes, and plugins.vectorstores.max_file_bytes is {max_bytes}",
            param=FIELD,
        )
    return upload
