"""What is to be removed vanishes at once, in a small transaction, and its rows go later, some at a time.

So that no large deletion keeps others from writing. A document is buried: it moves to the collection GRAVE, under its
number as its name. A collection is listed in the table `removed`, and so is one that is only being restored: what a
crash leaves of it is removed like any other. Whoever reads chunks joins their documents (LIVING).
"""

import json
import sqlite3
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from lmx_hybrid.schema import GRAVE

BATCH = 256
"""Chunks, and documents, that go in one transaction: so long others wait, a few milliseconds."""
NOTES = 2048
"""Notes of deletions, likewise."""


def remove_documents(connection: sqlite3.Connection, collection: int, documents: Sequence[int]) -> None:
    """By their numbers, with a note for the indexes of each chunk; many chunks are left to `sweep`."""
    which = json.dumps(list(documents))
    (chunks,) = connection.execute(
        "SELECT coalesce(sum(chunks), 0) FROM documents WHERE id IN (SELECT value FROM json_each(?))", (which,)
    ).fetchone()
    connection.execute(
        "INSERT INTO deletions (collection, chunk) SELECT ?, id FROM chunks"
        " WHERE document IN (SELECT value FROM json_each(?)) ORDER BY id",
        (collection, which),
    )
    connection.execute(
        "UPDATE collections SET documents = documents - ?, chunks = chunks - ? WHERE id = ?",
        (len(documents), chunks, collection),
    )
    connection.execute(
        "UPDATE documents SET collection = ?, name = id WHERE id IN (SELECT value FROM json_each(?))", (GRAVE, which)
    )
    if chunks <= BATCH and len(documents) <= BATCH:
        _remove_some(connection, documents)


def remove_collection(connection: sqlite3.Connection, collection: int) -> int:
    """Returns how many chunks it held."""
    (chunks,) = connection.execute("SELECT chunks FROM collections WHERE id = ?", (collection,)).fetchone()
    hide_collection(connection, collection)
    return int(chunks)


def hide_collection(connection: sqlite3.Connection, collection: int) -> None:
    """It is not there, and its rows are to be removed."""
    connection.execute("DELETE FROM owners WHERE collection = ?", (collection,))
    connection.execute("DELETE FROM collections WHERE id = ?", (collection,))
    connection.execute("INSERT INTO removed VALUES (?)", (collection,))


def sweep(connection: sqlite3.Connection, kept: AbstractSet[int]) -> bool:
    """Remove some rows of what is to be removed, but of what is `kept`; returns whether there may be more."""
    for (collection,) in connection.execute("SELECT ? UNION ALL SELECT collection FROM removed", (GRAVE,)).fetchall():
        if collection not in kept and _sweep_collection(connection, collection):
            return True
    return False


def prune(connection: sqlite3.Connection, collection: int, known: int) -> bool:
    """Forget some notes of deletions, up to this one; returns whether there may be more."""
    forgotten = connection.execute(
        "DELETE FROM deletions WHERE seq IN"
        " (SELECT seq FROM deletions WHERE collection = ? AND seq <= ? ORDER BY seq LIMIT ?)",
        (collection, known, NOTES),
    ).rowcount
    return forgotten == NOTES


def _sweep_collection(connection: sqlite3.Connection, collection: int) -> bool:
    rows = connection.execute("SELECT id FROM documents WHERE collection = ? LIMIT ?", (collection, BATCH)).fetchall()
    if rows:
        _remove_some(connection, [document for (document,) in rows])
        return True
    if collection == GRAVE:
        return False
    if not prune(connection, collection, 2**62):
        connection.execute("DELETE FROM removed WHERE collection = ?", (collection,))
    return True


def _remove_some(connection: sqlite3.Connection, documents: Sequence[int]) -> None:
    """A batch of chunks of these documents, and those of the documents that have none left."""
    which = json.dumps(list(documents))
    found = connection.execute(
        "SELECT id FROM chunks WHERE document IN (SELECT value FROM json_each(?)) LIMIT ?", (which, BATCH)
    )
    chunks = json.dumps([chunk for (chunk,) in found])
    for table in ("texts", "vectors", "chunks"):
        connection.execute(f"DELETE FROM {table} WHERE id IN (SELECT value FROM json_each(?))", (chunks,))  # noqa: S608  the names above
    connection.execute(
        "DELETE FROM documents WHERE id IN (SELECT value FROM json_each(?))"
        " AND NOT EXISTS (SELECT 1 FROM chunks c WHERE c.document = documents.id)",
        (which,),
    )
