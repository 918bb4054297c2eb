"""What is still to be deleted outside of the database, so that a crash in between leaves nothing behind."""

import sqlite3

from attrs import frozen


@frozen
class Removal:
    """Without a store: the bytes of a file. Without a file: a whole collection. With both: a document."""

    seq: int
    store_id: str
    file_id: str


def remove_bytes(db: sqlite3.Connection, file_id: str) -> None:
    """The file's bytes are to go."""
    _add(db, "", file_id)


def remove_collection(db: sqlite3.Connection, store_id: str) -> None:
    """The store's collection is to go, and with it all that was to go of it."""
    db.execute("DELETE FROM removals WHERE store_id = ?", (store_id,))
    _add(db, store_id, "")


def keep_collection(db: sqlite3.Connection, store_id: str) -> None:
    """The store's collection is to stay after all."""
    db.execute("DELETE FROM removals WHERE store_id = ? AND file_id = ''", (store_id,))


def remove_document(db: sqlite3.Connection, store_id: str, file_id: str) -> None:
    """A file's document is to go."""
    _add(db, store_id, file_id)


def pending_removals(db: sqlite3.Connection, store_id: str | None = None, file_id: str | None = None) -> list[Removal]:
    """All, or those of one store, or of one file in it."""
    rows = db.execute(
        "SELECT * FROM removals WHERE (?1 IS NULL OR store_id = ?1) AND (?2 IS NULL OR file_id = ?2) ORDER BY seq",
        (store_id, file_id),
    )
    return [Removal(row["seq"], row["store_id"], row["file_id"]) for row in rows]


def removed(db: sqlite3.Connection, removal: Removal) -> None:
    """It is done."""
    db.execute("DELETE FROM removals WHERE seq = ?", (removal.seq,))


def _add(db: sqlite3.Connection, store_id: str, file_id: str) -> None:
    db.execute("INSERT OR REPLACE INTO removals (store_id, file_id) VALUES (?, ?)", (store_id, file_id))
