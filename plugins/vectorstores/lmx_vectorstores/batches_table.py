"""File batches in SQL: each function is one question to the database."""

# ruff: noqa: S608  what queries are put together from is our own text; values are bound

import sqlite3
from collections.abc import Sequence

from lmx_hookspecs.errors import NotFound
from lmx_vectorstores.members_table import CANCELLED, IN_PROGRESS, NewMember
from lmx_vectorstores.paging import Row
from lmx_vectorstores.removals_table import remove_document
from lmx_vectorstores.stores_table import add_members

FILES_OF = "SELECT file_id FROM batch_files WHERE batch_id = ?"


def add_batch(
    db: sqlite3.Connection, batch_id: str, store_id: str, members: Sequence[NewMember], now: float
) -> list[int]:
    """Have these files taken in as one; what they were there as. Raises what `add_members` raises."""
    replaced = add_members(db, store_id, members, now)
    db.execute("INSERT INTO batches (id, store_id, created_at) VALUES (?, ?, ?)", (batch_id, store_id, now))
    db.executemany("INSERT INTO batch_files VALUES (?, ?)", [(batch_id, member.file_id) for member in members])
    return replaced


def get_batch(db: sqlite3.Connection, store_id: str, batch_id: str) -> Row:
    """One, with its counts; raises NotFound."""
    row = db.execute("SELECT * FROM batches WHERE id = ? AND store_id = ?", (batch_id, store_id)).fetchone()
    if row is None:
        raise NotFound(f"there is no file batch {batch_id!r} in the vector store {store_id!r}", param="batch_id")
    counts = db.execute(
        f"SELECT status, count(*) AS count FROM members WHERE store_id = ? AND file_id IN ({FILES_OF}) GROUP BY status",
        (store_id, batch_id),
    )
    return {**dict(row), "counts": {count["status"]: count["count"] for count in counts}}


def cancel_batch(db: sqlite3.Connection, store_id: str, batch_id: str) -> list[int]:
    """Take in no more of it; what was still to be taken in. Raises NotFound."""
    get_batch(db, store_id, batch_id)
    stopped = db.execute(
        f"UPDATE members SET status = ? WHERE store_id = ? AND status = ? AND file_id IN ({FILES_OF})"
        " RETURNING seq, file_id",
        (CANCELLED, store_id, IN_PROGRESS, batch_id),
    ).fetchall()
    for row in stopped:
        remove_document(db, store_id, row["file_id"])
    db.execute("UPDATE batches SET cancelled = 1 WHERE id = ? AND ?", (batch_id, bool(stopped)))
    return [row["seq"] for row in stopped]


def forget_batches(db: sqlite3.Connection, store_id: str, bound: int) -> None:
    """Those that ended first make room for later ones."""
    db.execute(
        "DELETE FROM batches WHERE store_id = ?1 AND seq NOT IN"
        " (SELECT seq FROM batches WHERE store_id = ?1 ORDER BY seq DESC LIMIT ?2)"
        " AND NOT EXISTS (SELECT 1 FROM batch_files JOIN members ON members.file_id = batch_files.file_id"
        " WHERE batch_files.batch_id = batches.id AND members.store_id = ?1 AND members.status = ?3)",
        (store_id, bound, IN_PROGRESS),
    )
