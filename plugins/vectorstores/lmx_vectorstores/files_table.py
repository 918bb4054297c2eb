"""Files in SQL: each function is one question to the database."""

import sqlite3
from collections.abc import Sequence

from attrs import frozen

from lmx_hookspecs.errors import InsufficientStorage, NotFound
from lmx_vectorstores.paging import Listing, Paging, Row, page
from lmx_vectorstores.removals_table import remove_bytes, remove_document


@frozen(kw_only=True)
class Bounds:
    """How much is kept."""

    files: int
    size_bytes: int


@frozen(kw_only=True)
class NewFile:
    """A file as it comes."""

    id: str
    owner: str
    filename: str
    purpose: str
    media_type: str
    size_bytes: int
    created_at: float
    expires_at: float | None


def check_room(db: sqlite3.Connection, size_bytes: int, bounds: Bounds) -> None:
    """Raises InsufficientStorage where another file of that size is one too many."""
    count, total = db.execute("SELECT count(*), coalesce(sum(bytes), 0) FROM files").fetchone()
    if count >= bounds.files:
        raise InsufficientStorage(
            f"{count} files are kept, and no more may (plugins.vectorstores.max_files); delete some"
        )
    if total + size_bytes > bounds.size_bytes:
        raise InsufficientStorage(
            f"the files take {total} bytes, and with {size_bytes} more they are beyond "
            f"plugins.vectorstores.max_bytes, which is {bounds.size_bytes}; delete some"
        )


def add_file(db: sqlite3.Connection, file: NewFile, bounds: Bounds) -> Row:
    """Keep it; raises what `check_room` raises."""
    check_room(db, file.size_bytes, bounds)
    db.execute(
        "INSERT INTO files (id, owner, filename, purpose, media_type, bytes, created_at, expires_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            file.id,
            file.owner,
            file.filename,
            file.purpose,
            file.media_type,
            file.size_bytes,
            file.created_at,
            file.expires_at,
        ),
    )
    return get_file(db, file.id)


def get_file(db: sqlite3.Connection, file_id: str) -> Row:
    """One; raises NotFound."""
    row = db.execute("SELECT * FROM files WHERE id = ?", (file_id,)).fetchone()
    if row is None:
        raise _unknown(file_id)
    return dict(row)


def owned_file(db: sqlite3.Connection, file_id: str, owner: str) -> Row:
    """One of that owner; raises NotFound."""
    file = get_file(db, file_id)
    if file["owner"] != owner:
        raise _unknown(file_id)
    return file


def list_files(
    db: sqlite3.Connection, owner: str, paging: Paging, purpose: str | None = None
) -> tuple[list[Row], bool]:
    """A page of the owner's."""
    query = "SELECT * FROM files WHERE owner = ?1 AND (?2 IS NULL OR purpose = ?2)"
    return page(db, Listing(query, (owner, purpose)), paging)


def known_files(db: sqlite3.Connection) -> set[str]:
    """The ids of all."""
    return {row["id"] for row in db.execute("SELECT id FROM files")}


def delete_file(db: sqlite3.Connection, file_id: str) -> list[int]:
    """Forget one, in all stores as well; what it was there as. Raises NotFound."""
    get_file(db, file_id)
    members = db.execute("SELECT seq, store_id FROM members WHERE file_id = ?", (file_id,)).fetchall()
    for member in members:
        remove_document(db, member["store_id"], file_id)
    db.execute("DELETE FROM files WHERE id = ?", (file_id,))
    remove_bytes(db, file_id)
    return [member["seq"] for member in members]


def expired_files(db: sqlite3.Connection, now: float) -> Sequence[str]:
    """Those whose time is up."""
    return [row["id"] for row in db.execute("SELECT id FROM files WHERE expires_at <= ?", (now,))]


def _unknown(file_id: str) -> NotFound:
    return NotFound(f"there is no file {file_id!r}; upload it with POST /v1/files", param="file_id")
