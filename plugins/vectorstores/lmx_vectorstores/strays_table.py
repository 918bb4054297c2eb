"""What an ingest may leave in the store whose file was taken out of it meanwhile."""

import sqlite3

from lmx_vectorstores.members_table import COMPLETED, IN_PROGRESS
from lmx_vectorstores.removals_table import remove_collection, remove_document


def remove_stray(db: sqlite3.Connection, store_id: str, file_id: str) -> None:
    """Have the document deleted unless it belongs there, or another ingest will replace it."""
    if db.execute("SELECT 1 FROM stores WHERE id = ? AND swept = 0", (store_id,)).fetchone() is None:
        remove_collection(db, store_id)
        return
    wanted = db.execute(
        "SELECT 1 FROM members WHERE store_id = ? AND file_id = ? AND status IN (?, ?)",
        (store_id, file_id, COMPLETED, IN_PROGRESS),
    ).fetchone()
    if wanted is None:
        remove_document(db, store_id, file_id)
