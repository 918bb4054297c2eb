"""Responses in SQLite: what each was asked and became, and where its items are found. Used by one thread."""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, frozen

from lmx_hookspecs.databases import open_private
from lmx_hookspecs.errors import InvalidRequest
from lmx_responses.items import Item
from lmx_responses.objects import UNFINISHED, interrupted

VERSION = 1
PRAGMAS = (
    "auto_vacuum = FULL",
    "journal_mode = WAL",
    "synchronous = NORMAL",  # a crash of the server loses nothing, one of the machine seconds
    "secure_delete = ON",
    "foreign_keys = ON",
)
TABLES = """
CREATE TABLE IF NOT EXISTS responses (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, created_at REAL NOT NULL, expires_at REAL NOT NULL,
    status TEXT NOT NULL, bytes INTEGER NOT NULL, input TEXT NOT NULL, body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS by_age ON responses (created_at, bytes, status);
CREATE INDEX IF NOT EXISTS by_expiry ON responses (expires_at);
CREATE TABLE IF NOT EXISTS items (
    owner TEXT NOT NULL, id TEXT NOT NULL, response_id TEXT NOT NULL REFERENCES responses (id) ON DELETE CASCADE,
    PRIMARY KEY (owner, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS items_of ON items (response_id);
"""
OLDEST = """
SELECT rowid, bytes FROM responses WHERE status NOT IN ('queued', 'in_progress') AND id != ?
ORDER BY created_at, rowid LIMIT 1
"""


@frozen
class Bounds:
    """How much is kept, and for how long."""

    count: int
    size_bytes: int
    ttl_s: float


@frozen
class Stored:
    """A response and the items that it was made from, those of earlier turns among them."""

    response: dict[str, Any]
    input: Sequence[Item]


@define(eq=False)
class Database:
    """An open database; whatever is wrong with its file is raised as sqlite3.DatabaseError."""

    bounds: Bounds
    now: Callable[[], float]
    _connection: sqlite3.Connection

    def put(self, owner: str, response: Mapping[str, Any], given: Sequence[Item]) -> None:
        """Begin to keep a response; raises InvalidRequest where it alone is more than may be kept."""
        body, items = json.dumps(response), json.dumps(given)
        if len(body) + len(items) > self.bounds.size_bytes:
            raise InvalidRequest(
                f"the conversation has {len(body) + len(items)} bytes, and plugins.responses.max_bytes is "
                f"{self.bounds.size_bytes}; shorten it, or send store: false",
                param="input",
            )
        now = self.now()
        row = (response["id"], owner, now, now + self.bounds.ttl_s, response["status"], len(body) + len(items))
        with self._connection:
            self._connection.execute("INSERT INTO responses VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*row, items, body))
            self._index(owner, response["id"], given)
            self._prune(response["id"])

    def update(self, response: Mapping[str, Any]) -> bool:
        """What it became; False where nobody keeps it any more."""
        body = json.dumps(response)
        with self._connection:
            changed = self._connection.execute(
                "UPDATE responses SET status = ?, bytes = ? + length(input), body = ? WHERE id = ? RETURNING owner",
                (response["status"], len(body), body, response["id"]),
            ).fetchone()
            if changed is not None:
                self._index(changed[0], response["id"], response["output"])
                self._prune(response["id"])
        return changed is not None

    def get(self, owner: str, response_id: str) -> Stored | None:
        """One of that owner."""
        row = self._connection.execute(
            "SELECT body, input FROM responses WHERE id = ? AND owner = ? AND expires_at > ?",
            (response_id, owner, self.now()),
        ).fetchone()
        return None if row is None else Stored(json.loads(row[0]), json.loads(row[1]))

    def item(self, owner: str, item_id: str) -> Item | None:
        """The item with that id, of any of the owner's responses."""
        row = self._connection.execute(
            "SELECT response_id FROM items WHERE id = ? AND owner = ?", (item_id, owner)
        ).fetchone()
        stored = None if row is None else self.get(owner, row[0])
        found = [] if stored is None else [*stored.input, *stored.response["output"]]
        return next((item for item in found if item["id"] == item_id), None)

    def remove(self, owner: str, response_id: str) -> bool:
        """Forget one; False where there is none. Nothing of it stays in the file."""
        with self._connection:
            removed = self._connection.execute(
                "DELETE FROM responses WHERE id = ? AND owner = ?", (response_id, owner)
            ).rowcount
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return removed > 0

    def totals(self) -> tuple[int, int]:
        """How many there are, and how many bytes they have."""
        row = self._connection.execute("SELECT count(*), coalesce(sum(bytes), 0) FROM responses").fetchone()
        return int(row[0]), int(row[1])

    def fail_unfinished(self) -> int:
        """Mark what an earlier server left in progress; returns how many there were."""
        rows = self._connection.execute("SELECT body FROM responses WHERE status IN (?, ?)", UNFINISHED).fetchall()
        for (body,) in rows:
            self.update(interrupted(json.loads(body)))
        return len(rows)

    def close(self) -> None:
        """Write everything into the one file."""
        self._connection.close()

    def _index(self, owner: str, response_id: str, items: Sequence[Item]) -> None:
        self._connection.executemany(
            "INSERT OR REPLACE INTO items VALUES (?, ?, ?)", [(owner, item["id"], response_id) for item in items]
        )

    def _prune(self, latest: str) -> None:
        """Make room for the latest, which stays, and so does what is still being made."""
        self._connection.execute("DELETE FROM responses WHERE expires_at <= ?", (self.now(),))
        count, size_bytes = self.totals()
        while count > self.bounds.count or size_bytes > self.bounds.size_bytes:
            oldest = self._connection.execute(OLDEST, (latest,)).fetchone()
            if oldest is None:
                return
            self._connection.execute("DELETE FROM responses WHERE rowid = ?", (oldest[0],))
            count, size_bytes = count - 1, size_bytes - oldest[1]


def open_database(path: Path | None, bounds: Bounds, now: Callable[[], float]) -> Database:
    """A file that only its owner can read, made if need be; None keeps everything in memory.

    Raises sqlite3.DatabaseError for what is no database of ours, OSError where there can be no file.
    """
    connection = open_private(path, version=VERSION, pragmas=PRAGMAS, tables=TABLES)
    return Database(bounds, now, connection)
