"""The API's objects, as plain data, from rows of the database."""

import json
from collections.abc import Mapping
from typing import Any

from lmx_vectorstores.members_table import CANCELLED, COMPLETED, FAILED, IN_PROGRESS
from lmx_vectorstores.paging import Row
from lmx_vectorstores.stores_table import has_expired

STATUSES = (IN_PROGRESS, COMPLETED, FAILED, CANCELLED)


def file_object(file: Row) -> dict[str, Any]:
    """A file."""
    return {
        "id": file["id"],
        "object": "file",
        "bytes": file["bytes"],
        "created_at": int(file["created_at"]),
        "expires_at": _whole(file["expires_at"]),
        "filename": file["filename"],
        "purpose": file["purpose"],
        "status": "processed",
        "status_details": None,
    }


def store_object(store: Row, now: float) -> dict[str, Any]:
    """A vector store."""
    days = store["expires_days"]
    return {
        "id": store["id"],
        "object": "vector_store",
        "created_at": int(store["created_at"]),
        "name": store["name"],
        "description": store["description"],
        "usage_bytes": store["usage_bytes"],
        "file_counts": file_counts(store["counts"]),
        "status": store_status(store, now),
        "expires_after": None if days is None else {"anchor": "last_active_at", "days": days},
        "expires_at": _whole(store["expires_at"]),
        "last_active_at": int(store["last_active_at"]),
        "metadata": json.loads(store["metadata"]),
    }


def store_status(store: Row, now: float) -> str:
    """As the API calls it."""
    if has_expired(store, now):
        return "expired"
    return IN_PROGRESS if store["counts"].get(IN_PROGRESS) else COMPLETED


def member_object(member: Row) -> dict[str, Any]:
    """A file in a vector store."""
    error = {"code": member["error_code"], "message": member["error_message"]}
    static = {"max_chunk_size_tokens": member["chunk_size"], "chunk_overlap_tokens": member["chunk_overlap"]}
    return {
        "id": member["file_id"],
        "object": "vector_store.file",
        "created_at": int(member["created_at"]),
        "vector_store_id": member["store_id"],
        "status": member["status"],
        "last_error": error if member["error_code"] else None,
        "usage_bytes": member["usage_bytes"],
        "attributes": member["attributes"],
        "chunking_strategy": {"type": "static", "static": static},
    }


def batch_object(batch: Row) -> dict[str, Any]:
    """A file batch."""
    return {
        "id": batch["id"],
        "object": "vector_store.files_batch",
        "created_at": int(batch["created_at"]),
        "vector_store_id": batch["store_id"],
        "status": batch_status(batch),
        "file_counts": file_counts(batch["counts"]),
    }


def batch_status(batch: Row) -> str:
    """In progress while any of its files is; failed where none of them could be taken in."""
    counts = batch["counts"]
    if counts.get(IN_PROGRESS):
        return IN_PROGRESS
    if batch["cancelled"]:
        return CANCELLED
    return FAILED if counts.get(FAILED) and not counts.get(COMPLETED) else COMPLETED


def file_counts(counts: Mapping[str, int]) -> dict[str, int]:
    """How many files have which status."""
    told = {status: counts.get(status, 0) for status in STATUSES}
    return {**told, "total": sum(told.values())}


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds)
