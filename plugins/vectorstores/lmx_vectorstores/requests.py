"""Bodies and query parameters, as they come over the wire."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from attrs import frozen

from lmx_hookspecs import option

MAX_ID = 128
MAX_NAME = 256
MAX_BATCH = 2000
"""Files of one batch."""
MAX_QUERIES = 32
Purpose = Literal["assistants", "batch", "fine-tune", "vision", "user_data", "evals"]
Status = Literal["in_progress", "completed", "failed", "cancelled"]
Order = Literal["asc", "desc"]


@frozen(kw_only=True)
class FileExpiry:
    """When a file is deleted."""

    anchor: Literal["created_at"] = option(doc="always created_at")
    seconds: int = option(doc="seconds after it was uploaded", ge=3600, le=2_592_000)


@frozen(kw_only=True)
class FileUpload:
    """The form of POST /v1/files, beside the file itself, whose field is `file`."""

    purpose: Purpose = option(doc="what the file is for; it changes only that those for `batch` expire after 30 days")
    expires_after: FileExpiry | None = option(None, "delete the file after a while; default never")


@frozen(kw_only=True)
class FilePage:
    """Which files are listed."""

    limit: int = option(10_000, "how many", ge=1, le=10_000)
    order: Order = option("desc", "by when they were made")
    after: str | None = option(None, "those behind the one with this id", max_length=MAX_ID)
    purpose: str | None = option(None, "only those for this purpose", max_length=MAX_NAME)


@frozen(kw_only=True)
class StorePage:
    """Which vector stores are listed."""

    limit: int = option(20, "how many", ge=1, le=100)
    order: Order = option("desc", "by when they were made")
    after: str | None = option(None, "those behind the one with this id", max_length=MAX_ID)
    before: str | None = option(None, "those in front of the one with this id", max_length=MAX_ID)


@frozen(kw_only=True)
class MemberPage:
    """Which files of a vector store are listed."""

    limit: int = option(20, "how many", ge=1, le=100)
    order: Order = option("desc", "by when they were added")
    after: str | None = option(None, "those behind the one with this id", max_length=MAX_ID)
    before: str | None = option(None, "those in front of the one with this id", max_length=MAX_ID)
    filter: Status | None = option(None, "only those with this status")


@frozen(kw_only=True)
class StoreExpiry:
    """When a vector store expires."""

    anchor: Literal["last_active_at"] = option(doc="always last_active_at")
    days: int = option(doc="days after it was last used", ge=1, le=365)


@frozen(kw_only=True)
class NewStoreBody:
    """The body of POST /v1/vector_stores."""

    name: str | None = option(None, "what people call it", max_length=MAX_NAME)
    description: str | None = option(None, "what it is for", max_length=2048)
    file_ids: Sequence[str] | None = option(None, "files that are added at once", max_length=MAX_BATCH)
    chunking_strategy: Mapping[str, Any] | None = option(None, "how these files are cut: of type auto or static")
    expires_after: StoreExpiry | None = option(None, "default never")
    metadata: Mapping[str, Any] | None = option(None, "up to 16 texts that come back with it")


KEEP_EXPIRY = StoreExpiry(anchor="last_active_at", days=365)
KEEP_METADATA: Mapping[str, Any] = {"": ""}
"""With `KEEP_EXPIRY`, known by identity: what a field is when a body leaves it out, which is not the same as null."""


@frozen(kw_only=True)
class StoreChange:
    """The body of POST /v1/vector_stores/{id}: what is left out stays as it is."""

    name: str | None = option(None, "what people call it; null leaves it", max_length=MAX_NAME)
    expires_after: StoreExpiry | None = option(KEEP_EXPIRY, "null: never")
    metadata: Mapping[str, Any] | None = option(KEEP_METADATA, "in place of the earlier ones; null: none")


@frozen(kw_only=True)
class NewMemberBody:
    """The body of POST /v1/vector_stores/{id}/files."""

    file_id: str = option(doc="a file of POST /v1/files", min_length=1, max_length=MAX_ID)
    attributes: Mapping[str, Any] | None = option(None, "up to 16 texts, numbers and booleans, for filters")
    chunking_strategy: Mapping[str, Any] | None = option(None, "how it is cut: of type auto or static")


@frozen(kw_only=True)
class MemberChange:
    """The body of POST /v1/vector_stores/{id}/files/{file_id}."""

    attributes: Mapping[str, Any] | None = option(doc="in place of the earlier ones; null: none")


@frozen(kw_only=True)
class NewBatchBody:
    """The body of POST /v1/vector_stores/{id}/file_batches: `file_ids` or `files`."""

    file_ids: Sequence[str] | None = option(None, "files of POST /v1/files", min_length=1, max_length=MAX_BATCH)
    files: Sequence[NewMemberBody] | None = option(
        None, "the same, each with attributes and a chunking_strategy of its own", min_length=1, max_length=MAX_BATCH
    )
    attributes: Mapping[str, Any] | None = option(None, "of all `file_ids`")
    chunking_strategy: Mapping[str, Any] | None = option(None, "of all `file_ids`")


@frozen(kw_only=True)
class HybridWeights:
    """How much each leg of a search counts."""

    embedding_weight: float = option(doc="of the vectors", ge=0, le=5)
    text_weight: float = option(doc="of the words", ge=0, le=5)


@frozen(kw_only=True)
class Ranking:
    """How what is found is ordered."""

    ranker: str | None = option(
        None,
        "none: no reranking; auto, default-2024-11-15: as the server is configured",
        choices=(None, "none", "auto", "default-2024-11-15"),
    )
    score_threshold: float = option(0.0, "leave out what scores less", ge=0, le=1)
    hybrid_search: HybridWeights | None = None


@frozen(kw_only=True)
class SearchBody:
    """The body of POST /v1/vector_stores/{id}/search."""

    query: str | Sequence[str] = option(doc="what to look for; of several, the best of all are found", min_length=1)
    filters: Mapping[str, Any] | None = option(None, "on attributes: a comparison, or and/or of some")
    max_num_results: int = option(10, "how many", ge=1, le=50)
    ranking_options: Ranking | None = None
    rewrite_query: bool | None = option(None, "has no effect but a warning: queries are searched for as they are")


@frozen(kw_only=True)
class NoBody:
    """Nothing: SDKs send an empty object, or no body at all."""
