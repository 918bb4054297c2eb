"""The shapes of answers, as the OpenAPI document shows them; `objects.py` fills them as plain data."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from attrs import frozen

from lmx_vectorstores.requests import Status


@frozen(kw_only=True)
class FileAnswer:
    """A file that is kept."""

    id: str
    object: Literal["file"]
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: str
    status: Literal["processed"]
    warnings: Sequence[str] = ()


@frozen(kw_only=True)
class FileCounts:
    """How many files have which status."""

    in_progress: int
    completed: int
    failed: int
    cancelled: int
    total: int


@frozen(kw_only=True)
class VectorStoreAnswer:
    """A vector store."""

    id: str
    object: Literal["vector_store"]
    created_at: int
    name: str
    description: str | None
    usage_bytes: int
    file_counts: FileCounts
    status: Literal["expired", "in_progress", "completed"]
    expires_after: Mapping[str, Any] | None
    expires_at: int | None
    last_active_at: int
    metadata: Mapping[str, str]
    warnings: Sequence[str] = ()


@frozen(kw_only=True)
class LastError:
    """Why a file is not in a vector store."""

    code: Literal["server_error", "unsupported_file", "invalid_file"]
    message: str


@frozen(kw_only=True)
class VectorStoreFile:
    """A file in a vector store."""

    id: str
    object: Literal["vector_store.file"]
    created_at: int
    vector_store_id: str
    status: Status
    last_error: LastError | None
    usage_bytes: int
    attributes: Mapping[str, Any]
    chunking_strategy: Mapping[str, Any]
    warnings: Sequence[str] = ()


@frozen(kw_only=True)
class FileBatch:
    """Files that are taken into a vector store together."""

    id: str
    object: Literal["vector_store.files_batch"]
    created_at: int
    vector_store_id: str
    status: Status
    file_counts: FileCounts
    warnings: Sequence[str] = ()


@frozen(kw_only=True)
class ListAnswer:
    """A page of any of these."""

    object: Literal["list"]
    data: Sequence[Mapping[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: bool


@frozen(kw_only=True)
class SearchAnswer:
    """What was found, the best first: file_id, filename, score, attributes, content."""

    object: Literal["vector_store.search_results.page"]
    search_query: Sequence[str]
    data: Sequence[Mapping[str, Any]]
    has_more: bool
    next_page: None
    warnings: Sequence[str] = ()


@frozen(kw_only=True)
class ContentAnswer:
    """The text of a file in a vector store, chunk by chunk."""

    object: Literal["vector_store.file_content.page"]
    file_id: str
    filename: str
    attributes: Mapping[str, Any]
    data: Sequence[Mapping[str, Any]]
    has_more: bool
    next_page: None


@frozen(kw_only=True)
class DeletedAnswer:
    """Something that is forgotten."""

    id: str
    object: str
    deleted: Literal[True]
