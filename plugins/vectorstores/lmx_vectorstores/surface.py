"""The routes of files and vector stores."""

from typing import Any, Literal

from lmx_hookspecs import Context, Request, Response, Route
from lmx_hookspecs.http import Handler, imported_handler
from lmx_hookspecs.unsupported import checked
from lmx_vectorstores import NAME
from lmx_vectorstores.answers import (
    ContentAnswer,
    DeletedAnswer,
    FileAnswer,
    FileBatch,
    ListAnswer,
    SearchAnswer,
    VectorStoreAnswer,
    VectorStoreFile,
)
from lmx_vectorstores.requests import (
    FilePage,
    FileUpload,
    MemberChange,
    MemberPage,
    NewBatchBody,
    NewMemberBody,
    NewStoreBody,
    NoBody,
    SearchBody,
    StoreChange,
    StorePage,
)

FILE = "/v1/files/{file_id}"
STORE = "/v1/vector_stores/{store_id}"
MEMBER = f"{STORE}/files/{{file_id}}"
BATCH = f"{STORE}/file_batches/{{batch_id}}"


def _route(
    method: Literal["GET", "POST", "DELETE"], path: str, handler: str, summary: str, answer: Any, **more: Any
) -> Route:
    module, _, name = handler.partition(":")
    return Route(
        method=method,
        path=path,
        handler=checked(_of_the_key(imported_handler(f"lmx_vectorstores.{module}", name))),
        summary=summary,
        answer=answer,
        allow_unknown=True,
        shed=method != "DELETE",
        **more,
    )


def _of_the_key(handler: Handler) -> Handler:
    """What belongs to another key is not found, whatever is asked of it."""

    async def handle(ctx: Context, request: Request) -> Response:
        await ctx.part(NAME).check_owner(request)
        return await handler(ctx, request)

    return handle


ROUTES = (
    _route("POST", "/v1/files", "files_api:upload_file", "Upload a file", FileAnswer, body=FileUpload, max_files=1),
    _route("GET", "/v1/files", "files_api:list_all_files", "List files", ListAnswer, query=FilePage),
    _route("GET", FILE, "files_api:retrieve_file", "Get what is known of a file", FileAnswer),
    _route(
        "GET",
        f"{FILE}/content",
        "files_api:file_content",
        "Get the bytes of a file",
        None,
        content_type="application/octet-stream",
    ),
    _route("DELETE", FILE, "files_api:delete_one_file", "Delete a file, in vector stores as well", DeletedAnswer),
    _route(
        "POST",
        "/v1/vector_stores",
        "stores_api:create_store",
        "Make a vector store",
        VectorStoreAnswer,
        body=NewStoreBody,
    ),
    _route("GET", "/v1/vector_stores", "stores_api:list_all_stores", "List vector stores", ListAnswer, query=StorePage),
    _route("GET", STORE, "stores_api:retrieve_store", "Get a vector store", VectorStoreAnswer),
    _route("POST", STORE, "stores_api:update_store", "Change a vector store", VectorStoreAnswer, body=StoreChange),
    _route("DELETE", STORE, "stores_api:delete_one_store", "Delete a vector store, and not its files", DeletedAnswer),
    _route("POST", f"{STORE}/search", "search:search_store", "Search a vector store", SearchAnswer, body=SearchBody),
    _route(
        "POST",
        f"{STORE}/files",
        "members_api:create_member",
        "Add a file to a vector store",
        VectorStoreFile,
        body=NewMemberBody,
    ),
    _route(
        "GET",
        f"{STORE}/files",
        "members_api:list_store_files",
        "List the files in a vector store",
        ListAnswer,
        query=MemberPage,
    ),
    _route("GET", MEMBER, "members_api:retrieve_member", "Get a file in a vector store", VectorStoreFile),
    _route(
        "POST",
        MEMBER,
        "members_api:update_member",
        "Replace the attributes of a file in a vector store",
        VectorStoreFile,
        body=MemberChange,
    ),
    _route("DELETE", MEMBER, "members_api:delete_one_member", "Take a file out of a vector store", DeletedAnswer),
    _route("GET", f"{MEMBER}/content", "members_api:member_content", "Get the text of a file", ContentAnswer),
    _route(
        "POST",
        f"{STORE}/file_batches",
        "members_api:create_batch",
        "Add several files to a vector store",
        FileBatch,
        body=NewBatchBody,
    ),
    _route("GET", BATCH, "members_api:retrieve_batch", "Get a file batch", FileBatch),
    _route("POST", f"{BATCH}/cancel", "members_api:cancel_one_batch", "Cancel a file batch", FileBatch, body=NoBody),
    _route(
        "GET",
        f"{BATCH}/files",
        "members_api:list_batch_files",
        "List the files of a file batch",
        ListAnswer,
        query=MemberPage,
    ),
)
