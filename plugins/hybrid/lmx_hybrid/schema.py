"""The tables of the database. It is the truth: every index is made from it."""

APPLICATION_ID = 0x4C4D5852  # "LMXR"
VERSION = 2
"""What reads version 1 knows no GRAVE and no `removed`: it would show what is deleted."""

TABLES = """
CREATE TABLE collections (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    embedding_model TEXT NOT NULL,
    dimensions INTEGER NOT NULL,
    languages TEXT NOT NULL,
    metadata TEXT NOT NULL,
    created_at REAL NOT NULL,
    documents INTEGER NOT NULL DEFAULT 0,
    chunks INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE documents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    collection INTEGER NOT NULL,
    name TEXT NOT NULL,
    title TEXT NOT NULL,
    metadata TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    chunks INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    UNIQUE (collection, name)
);
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    collection INTEGER NOT NULL,
    document INTEGER NOT NULL,
    place INTEGER NOT NULL,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    metadata TEXT
);
CREATE INDEX chunks_of_collection ON chunks (collection, id);
CREATE INDEX chunks_of_document ON chunks (document, place);
CREATE TABLE texts (
    id INTEGER PRIMARY KEY,
    title TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE TABLE vectors (
    id INTEGER PRIMARY KEY,
    embedding BLOB NOT NULL
);
CREATE TABLE deletions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    collection INTEGER NOT NULL,
    chunk INTEGER NOT NULL
);
CREATE INDEX deletions_of_collection ON deletions (collection, seq);
"""
"""Texts and vectors stand apart from their chunks, so that a filter reads neither of them. Ids of chunks are never used
twice and only grow, so that an index knows from the last one what it has; `deletions` tells it what has gone since."""
OWNERS = "CREATE TABLE IF NOT EXISTS owners (collection INTEGER PRIMARY KEY, owner TEXT NOT NULL)"
"""Whose a collection is. It is not in snapshots: whoever has one may make a collection of it for everybody."""
REMOVED = "CREATE TABLE IF NOT EXISTS removed (collection INTEGER PRIMARY KEY)"
"""Collections that are gone, or not yet there, whose rows are to be removed: see `removals`."""
GRAVE = 0
"""The collection of documents that are to be removed; no other has this number."""
LIVING = "chunks c JOIN documents d ON d.id = c.document AND d.collection = c.collection"
"""Chunks, without those of buried documents."""
