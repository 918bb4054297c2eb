"""The SQLite file: what its tables are, and how it is opened. Used by one thread."""

import sqlite3
from contextlib import closing
from pathlib import Path

from lmx_hookspecs.databases import make_private, open_private
from lmx_hookspecs.errors import EngineFailed

VERSION = 2
PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON")
"""An acknowledged upload outlives a power failure."""
TABLES = """
CREATE TABLE IF NOT EXISTS files (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, filename TEXT NOT NULL,
    purpose TEXT NOT NULL, media_type TEXT NOT NULL, bytes INTEGER NOT NULL, created_at REAL NOT NULL, expires_at REAL
);
CREATE INDEX IF NOT EXISTS files_by_expiry ON files (expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS stores (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, name TEXT NOT NULL,
    description TEXT, metadata TEXT NOT NULL, created_at REAL NOT NULL, last_active_at REAL NOT NULL,
    expires_days INTEGER, swept INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS members (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    store_id TEXT NOT NULL REFERENCES stores (id) ON DELETE CASCADE,
    file_id TEXT NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    status TEXT NOT NULL, attributes TEXT NOT NULL, chunk_size INTEGER NOT NULL, chunk_overlap INTEGER NOT NULL,
    usage_bytes INTEGER NOT NULL DEFAULT 0, error_code TEXT, error_message TEXT, created_at REAL NOT NULL,
    UNIQUE (store_id, file_id)
);
CREATE INDEX IF NOT EXISTS members_by_status ON members (status, seq);
CREATE INDEX IF NOT EXISTS members_of_files ON members (file_id);
CREATE TABLE IF NOT EXISTS batches (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
    store_id TEXT NOT NULL REFERENCES stores (id) ON DELETE CASCADE,
    created_at REAL NOT NULL, cancelled INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS batches_of_stores ON batches (store_id, seq);
CREATE TABLE IF NOT EXISTS batch_files (
    batch_id TEXT NOT NULL REFERENCES batches (id) ON DELETE CASCADE, file_id TEXT NOT NULL,
    PRIMARY KEY (batch_id, file_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS changes (
    member INTEGER PRIMARY KEY REFERENCES members (seq) ON DELETE CASCADE, before TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS removals (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, store_id TEXT NOT NULL, file_id TEXT NOT NULL, UNIQUE (store_id, file_id)
);
"""
OWNED_SINCE_2 = ("files", "stores")
"""What was kept before belongs to requests without a key."""


def open_database(path: Path) -> sqlite3.Connection:
    """A file that only its owner can read, made if need be, and brought from version 1 to this one.

    Raises sqlite3.DatabaseError for what is no database of ours, EngineFailed for one of a later version, OSError where
    there can be no file.
    """
    make_private(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        _bring_up_to_date(connection, path)
    connection = open_private(path, version=VERSION, pragmas=PRAGMAS, tables=TABLES)
    connection.row_factory = sqlite3.Row
    return connection


def _bring_up_to_date(connection: sqlite3.Connection, path: Path) -> None:
    """Whole or not at all: SQLite changes columns and the version in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > VERSION:
        raise EngineFailed(
            f"{path} was written by a later LMX, in version {found} where this server knows {VERSION}; start that one"
        )
    if found == 1:
        for table in OWNED_SINCE_2:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN owner TEXT NOT NULL DEFAULT ''")
        connection.execute("PRAGMA user_version = 2")
