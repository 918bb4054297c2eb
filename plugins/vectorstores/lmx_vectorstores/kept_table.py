"""What may be found: the database knows of a deletion before the store has made it."""

# ruff: noqa: S608  what queries are put together from is our own text; values are bound

import sqlite3
from collections.abc import Sequence

from lmx_vectorstores.members_table import CANCELLED
from lmx_vectorstores.stores_table import EXPIRES_AT, has_expired


def kept_files(db: sqlite3.Connection, store_id: str, file_ids: Sequence[str], now: float) -> set[str] | None:
    """Those of them that the store has; none of one that is deleted or expired, and None for what never was a store."""
    store = db.execute(f"SELECT *, {EXPIRES_AT} AS expires_at FROM stores WHERE id = ?", (store_id,)).fetchone()
    if store is None:
        going = db.execute("SELECT 1 FROM removals WHERE store_id = ? AND file_id = ''", (store_id,)).fetchone()
        return set() if going else None
    if has_expired(dict(store), now):
        return set()
    marks = ", ".join("?" * len(file_ids))
    rows = db.execute(
        f"SELECT file_id FROM members WHERE store_id = ? AND status != ? AND file_id IN ({marks})",
        (store_id, CANCELLED, *file_ids),
    )
    return {row["file_id"] for row in rows}
