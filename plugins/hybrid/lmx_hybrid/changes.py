"""What has happened to a collection since an index looked at it last."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from attrs import frozen

from lmx_hybrid.positions import Position, current

VECTORS = "SELECT v.id, v.embedding FROM chunks c JOIN vectors v ON v.id = c.id"
TEXTS = (
    "SELECT t.id, t.title, t.text, d.title FROM chunks c"
    " JOIN texts t ON t.id = c.id JOIN documents d ON d.id = c.document"
)


@frozen(kw_only=True)
class Changes:
    """New rows in the order of their ids, and the ids of chunks that have gone."""

    added: Sequence[tuple[Any, ...]]
    removed: Sequence[int]
    position: Position
    """Where an index stands that has taken them over."""
    complete: bool
    """There are no more at this moment."""


def read_changes(connection: sqlite3.Connection, select: str, collection: int, since: Position, limit: int) -> Changes:
    """Up to `limit` new rows of a SELECT over `chunks c`, in the transaction in progress."""
    now = current(connection)
    added = connection.execute(
        f"{select} WHERE c.collection = ? AND c.id > ? ORDER BY c.id LIMIT ?",
        (collection, since.chunk, limit),
    ).fetchall()
    removed = connection.execute(
        "SELECT chunk FROM deletions WHERE collection = ? AND seq > ?", (collection, since.deletion)
    ).fetchall()
    complete = len(added) < limit
    return Changes(
        added=added,
        removed=[chunk for (chunk,) in removed],
        position=Position(now.chunk if complete else added[-1][0], now.deletion),
        complete=complete,
    )
