"""Vector stores in SQL: each function is one question to the database."""

# ruff: noqa: S608  what queries are put together from is our own text; values are bound

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from lmx_hookspecs.errors import InsufficientStorage, InvalidRequest, NotFound
from lmx_vectorstores.members_table import NewMember, insert_members
from lmx_vectorstores.paging import Listing, Paging, Row, page
from lmx_vectorstores.removals_table import keep_collection, remove_collection

DAY_S = 86_400
EXPIRES_AT = f"last_active_at + expires_days * {DAY_S}"


@frozen(kw_only=True)
class NewStore:
    """A vector store as it comes."""

    id: str
    owner: str
    name: str
    description: str | None
    metadata: Mapping[str, str]
    created_at: float
    expires_days: int | None


def check_store_room(db: sqlite3.Connection, bound: int) -> None:
    """Raises InsufficientStorage where another store is one too many."""
    (count,) = db.execute("SELECT count(*) FROM stores").fetchone()
    if count >= bound:
        raise InsufficientStorage(
            f"{count} vector stores are kept, and no more may (plugins.vectorstores.max_vector_stores); delete some"
        )


def add_store(db: sqlite3.Connection, store: NewStore, members: Sequence[NewMember], bound: int) -> Row:
    """Keep it, its collection, and what is to be taken in; raises InsufficientStorage, and NotFound for a file."""
    check_store_room(db, bound)
    db.execute(
        "INSERT INTO stores (id, owner, name, description, metadata, created_at, last_active_at, expires_days)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            store.id,
            store.owner,
            store.name,
            store.description,
            json.dumps(store.metadata),
            store.created_at,
            store.created_at,
            store.expires_days,
        ),
    )
    keep_collection(db, store.id)
    insert_members(db, store.id, members, store.created_at)
    return get_store(db, store.id)


def get_store(db: sqlite3.Connection, store_id: str) -> Row:
    """One, with its counts; raises NotFound."""
    row = db.execute(f"SELECT *, {EXPIRES_AT} AS expires_at FROM stores WHERE id = ?", (store_id,)).fetchone()
    if row is None:
        raise _unknown(store_id)
    return counted(db, [dict(row)])[0]


def check_owner(db: sqlite3.Connection, store_id: str, owner: str) -> None:
    """Raises NotFound for a store that is not there, or somebody else's."""
    if db.execute("SELECT 1 FROM stores WHERE id = ? AND owner = ?", (store_id, owner)).fetchone() is None:
        raise _unknown(store_id)


def usable_store(db: sqlite3.Connection, store_id: str, now: float) -> Row:
    """One that has not expired, active from now on; raises NotFound and InvalidRequest."""
    store = get_store(db, store_id)
    if has_expired(store, now):
        raise InvalidRequest(
            f"the vector store {store_id!r} has expired, and with it what was in it; make a new one",
            code="vector_store_expired",
            param="vector_store_id",
        )
    touch_stores(db, [store_id], now)
    return {**store, "last_active_at": now}


def add_members(db: sqlite3.Connection, store_id: str, members: Sequence[NewMember], now: float) -> list[int]:
    """Have files taken in; what they were there as. Raises NotFound, and what `usable_store` raises."""
    usable_store(db, store_id, now)
    return insert_members(db, store_id, members, now)


def has_expired(store: Row, now: float) -> bool:
    """Whether its time is up."""
    return bool(store["swept"]) or (store["expires_at"] is not None and store["expires_at"] <= now)


def touch_stores(db: sqlite3.Connection, store_ids: Sequence[str], now: float) -> None:
    """They are in use; ids of others do not matter, and what has expired stays so.

    Written once in a second, which is all that anybody sees of it: a search need not wait for the disk each time.
    """
    db.executemany(
        f"UPDATE stores SET last_active_at = ?1 WHERE id = ?2 AND swept = 0"
        f" AND CAST(last_active_at AS INTEGER) < ?3 AND ({EXPIRES_AT} IS NULL OR {EXPIRES_AT} > ?1)",
        [(now, store_id, int(now)) for store_id in store_ids],
    )


def list_stores(db: sqlite3.Connection, owner: str, paging: Paging) -> tuple[list[Row], bool]:
    """A page of the owner's, with their counts."""
    listing = Listing(f"SELECT *, {EXPIRES_AT} AS expires_at FROM stores WHERE owner = ?", (owner,))
    rows, has_more = page(db, listing, paging)
    return counted(db, rows), has_more


def change_store(db: sqlite3.Connection, store_id: str, changes: Mapping[str, Any]) -> Row:
    """Set those columns; raises NotFound."""
    get_store(db, store_id)
    for column, value in changes.items():
        stored = json.dumps(value) if column == "metadata" else value
        db.execute(f"UPDATE stores SET {column} = ? WHERE id = ?", (stored, store_id))
    return get_store(db, store_id)


def delete_store(db: sqlite3.Connection, store_id: str) -> list[int]:
    """Forget one with all that is in it, but for the files themselves; what was in it. Raises NotFound."""
    get_store(db, store_id)
    members = _emptied(db, store_id)
    db.execute("DELETE FROM stores WHERE id = ?", (store_id,))
    return members


def sweep_stores(db: sqlite3.Connection, now: float) -> list[int]:
    """Empty those whose time is up; what was in them."""
    expired = db.execute(f"SELECT id FROM stores WHERE swept = 0 AND {EXPIRES_AT} <= ?", (now,)).fetchall()
    members = [member for row in expired for member in _emptied(db, row["id"])]
    db.executemany("UPDATE stores SET swept = 1 WHERE id = ?", [(row["id"],) for row in expired])
    return members


def next_expiry(db: sqlite3.Connection) -> float | None:
    """When the next store or file expires."""
    query = (
        f"SELECT min(at) AS at FROM (SELECT {EXPIRES_AT} AS at FROM stores WHERE swept = 0"
        " UNION ALL SELECT expires_at FROM files)"
    )
    at: float | None = db.execute(query).fetchone()["at"]
    return at


def counted(db: sqlite3.Connection, rows: Sequence[Row]) -> list[Row]:
    """With how many files of each status are in them, and what these take."""
    return [{**row, **_counts(db, row["id"])} for row in rows]


def _unknown(store_id: str) -> NotFound:
    return NotFound(f"there is no vector store {store_id!r}; it may have been deleted", param="vector_store_id")


def _counts(db: sqlite3.Connection, store_id: str) -> Row:
    counts, usage = {}, 0
    for row in db.execute(
        "SELECT status, count(*) AS count, sum(usage_bytes) AS usage FROM members WHERE store_id = ? GROUP BY status",
        (store_id,),
    ):
        counts[row["status"]] = row["count"]
        usage += row["usage"]
    return {"counts": counts, "usage_bytes": usage}


def _emptied(db: sqlite3.Connection, store_id: str) -> list[int]:
    members = [row["seq"] for row in db.execute("SELECT seq FROM members WHERE store_id = ?", (store_id,))]
    db.execute("DELETE FROM members WHERE store_id = ?", (store_id,))
    db.execute("DELETE FROM batches WHERE store_id = ?", (store_id,))
    remove_collection(db, store_id)
    return members
