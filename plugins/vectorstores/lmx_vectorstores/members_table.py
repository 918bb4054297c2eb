"""Files in vector stores, in SQL: each function is one question to the database."""

# ruff: noqa: S608  what queries are put together from is our own text; values are bound

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from lmx_hookspecs.errors import NotFound
from lmx_vectorstores.changes_table import change_document
from lmx_vectorstores.files_table import get_file
from lmx_vectorstores.paging import Listing, Paging, Row, page
from lmx_vectorstores.removals_table import remove_document

IN_PROGRESS, COMPLETED, FAILED, CANCELLED = "in_progress", "completed", "failed", "cancelled"
MEMBERS = "SELECT members.*, filename, media_type, bytes, owner FROM members JOIN files ON files.id = members.file_id"


@frozen(kw_only=True)
class NewMember:
    """A file that is to be taken into a store."""

    file_id: str
    attributes: Mapping[str, Any]
    chunk_size: int
    chunk_overlap: int


@frozen(kw_only=True)
class Outcome:
    """What became of taking a file in."""

    status: str
    usage_bytes: int = 0
    error_code: str | None = None
    error_message: str | None = None


def insert_members(db: sqlite3.Connection, store_id: str, members: Sequence[NewMember], now: float) -> list[int]:
    """Each in place of itself where it is there; what they were there as. Raises NotFound for a file."""
    replaced = []
    for member in members:
        get_file(db, member.file_id)
        before = db.execute(
            "DELETE FROM members WHERE store_id = ? AND file_id = ? RETURNING seq", (store_id, member.file_id)
        ).fetchall()
        replaced += [row["seq"] for row in before]
        db.execute(
            "INSERT INTO members (store_id, file_id, status, attributes, chunk_size, chunk_overlap, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                store_id,
                member.file_id,
                IN_PROGRESS,
                json.dumps(member.attributes),
                member.chunk_size,
                member.chunk_overlap,
                now,
            ),
        )
    return replaced


def get_member(db: sqlite3.Connection, store_id: str, file_id: str) -> Row:
    """One; raises NotFound."""
    row = db.execute(f"{MEMBERS} WHERE store_id = ? AND file_id = ?", (store_id, file_id)).fetchone()
    if row is None:
        raise NotFound(f"there is no file {file_id!r} in the vector store {store_id!r}", param="file_id")
    return _read(row)


def list_members(
    db: sqlite3.Connection, store_id: str, paging: Paging, *, status: str | None = None, batch_id: str | None = None
) -> tuple[list[Row], bool]:
    """A page of those of a store, or of a batch."""
    query, values = f"{MEMBERS} WHERE store_id = ?", [store_id]
    if status is not None:
        query, values = f"{query} AND status = ?", [*values, status]
    if batch_id is not None:
        query = f"{query} AND file_id IN (SELECT file_id FROM batch_files WHERE batch_id = ?)"
        values = [*values, batch_id]
    rows, has_more = page(db, Listing(query, values, key="file_id"), paging)
    return [_read(row) for row in rows], has_more


def attributes_of(db: sqlite3.Connection, store_id: str, file_ids: Sequence[str]) -> dict[str, Row]:
    """What search results tell of the files that they come from."""
    marks = ", ".join("?" * len(file_ids))
    rows = db.execute(f"{MEMBERS} WHERE store_id = ? AND file_id IN ({marks})", (store_id, *file_ids))
    return {row["file_id"]: _read(row) for row in rows}


def next_member(db: sqlite3.Connection, busy: Sequence[int]) -> Row | None:
    """The one that has waited longest, but for those."""
    marks = ", ".join("?" * len(busy))
    row = db.execute(
        f"{MEMBERS} WHERE status = ? AND members.seq NOT IN ({marks}) ORDER BY members.seq LIMIT 1",
        (IN_PROGRESS, *busy),
    ).fetchone()
    return None if row is None else _read(row)


def finish_member(db: sqlite3.Connection, taken: Row, outcome: Outcome) -> Row | None:
    """What was `taken` is there, or not; as it is now, or None where it was cancelled or deleted meanwhile."""
    changed = db.execute(
        "UPDATE members SET status = ?, usage_bytes = ?, error_code = ?, error_message = ?"
        " WHERE seq = ? AND status = ?",
        (outcome.status, outcome.usage_bytes, outcome.error_code, outcome.error_message, taken["seq"], IN_PROGRESS),
    ).rowcount
    if not changed:
        return None
    member = get_member(db, taken["store_id"], taken["file_id"])
    if outcome.status == COMPLETED and member["attributes"] != taken["attributes"]:
        change_document(db, member["seq"], taken["attributes"])
    return member


def set_attributes(db: sqlite3.Connection, store_id: str, file_id: str, attributes: Mapping[str, Any]) -> Row:
    """Replace them, and have the document follow if there is one; raises NotFound."""
    before = get_member(db, store_id, file_id)
    if before["status"] == COMPLETED:
        change_document(db, before["seq"], before["attributes"])
    db.execute(
        "UPDATE members SET attributes = ? WHERE store_id = ? AND file_id = ?",
        (json.dumps(attributes), store_id, file_id),
    )
    return get_member(db, store_id, file_id)


def delete_member(db: sqlite3.Connection, store_id: str, file_id: str) -> list[int]:
    """Take a file out of a store; what it was there as. Raises NotFound."""
    member = get_member(db, store_id, file_id)
    db.execute("DELETE FROM members WHERE seq = ?", (member["seq"],))
    remove_document(db, store_id, file_id)
    return [member["seq"]]


def _read(row: Any) -> Row:
    return {**dict(row), "attributes": json.loads(row["attributes"])}
