"""Attributes that are still to be changed in the store, so that a crash in between leaves it no other than they are."""

import json
import sqlite3
from collections.abc import Collection, Mapping
from typing import Any

from attrs import frozen

PENDING = (
    "SELECT changes.*, store_id, file_id, attributes FROM changes JOIN members ON members.seq = changes.member"
    " WHERE status = 'completed'"
)


@frozen
class Change:
    """A document whose metadata is to hold `after`, and no other of the attributes that it may have had."""

    member: int
    store_id: str
    file_id: str
    before: Collection[str]
    stored: str
    """`after`, as the database has it."""

    @property
    def after(self) -> Mapping[str, Any]:
        """The attributes of the file."""
        attributes: Mapping[str, Any] = json.loads(self.stored)
        return attributes


def change_document(db: sqlite3.Connection, member: int, before: Collection[str]) -> None:
    """Attributes have changed that had these keys: the document is to follow."""
    row = db.execute("SELECT before FROM changes WHERE member = ?", (member,)).fetchone()
    keys = {*before, *(json.loads(row["before"]) if row else ())}
    db.execute("INSERT OR REPLACE INTO changes (member, before) VALUES (?, ?)", (member, json.dumps(sorted(keys))))


def pending_change(db: sqlite3.Connection, store_id: str, file_id: str) -> Change | None:
    """That of a file in a store, if there is one."""
    row = db.execute(f"{PENDING} AND store_id = ? AND file_id = ?", (store_id, file_id)).fetchone()
    return None if row is None else _read(row)


def pending_places(db: sqlite3.Connection) -> list[tuple[str, str]]:
    """The store and the file of each."""
    return [(row["store_id"], row["file_id"]) for row in db.execute(f"{PENDING} ORDER BY member")]


def changed(db: sqlite3.Connection, change: Change) -> None:
    """It is made, and is the last unless the attributes have changed again meanwhile."""
    db.execute(
        "DELETE FROM changes WHERE member = ?1 AND (SELECT attributes FROM members WHERE seq = ?1) = ?2",
        (change.member, change.stored),
    )


def _read(row: sqlite3.Row) -> Change:
    return Change(row["member"], row["store_id"], row["file_id"], json.loads(row["before"]), row["attributes"])
