"""What has happened to a collection since an index looked at it last."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from attrs import frozen

from lmx_hybrid.positions import Position, current
from lmx_hybrid.schema import LIVING

VECTORS = f"SELECT v.id, v.embedding FROM {LIVING} JOIN vectors v ON v.id = c.id"  # noqa: S608  a constant
TEXTS = f"SELECT t.id, t.title, t.text, d.title FROM {LIVING} JOIN texts t ON t.id = c.id"  # noqa: S608
MOST_REMOVED = 8192
"""Deletions that are taken over in one go."""


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
        "SELECT seq, chunk FROM deletions WHERE collection = ? AND seq > ? ORDER BY seq LIMIT ?",
        (collection, since.deletion, MOST_REMOVED),
    ).fetchall()
    all_added, all_removed = len(added) < limit, len(removed) < MOST_REMOVED
    return Changes(
        added=added,
        removed=[chunk for _, chunk in removed],
        position=Position(
            now.chunk if all_added else added[-1][0],
            now.deletion if all_removed else removed[-1][0],
        ),
        complete=all_added and all_removed,
    )
