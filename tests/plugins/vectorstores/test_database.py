"""Databases that other versions have written."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from openai import APIStatusError

from vector_store_support import keeping

FIRST = """
CREATE TABLE files (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, filename TEXT NOT NULL, purpose TEXT NOT NULL,
    media_type TEXT NOT NULL, bytes INTEGER NOT NULL, created_at REAL NOT NULL, expires_at REAL
);
CREATE TABLE stores (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, description TEXT,
    metadata TEXT NOT NULL, created_at REAL NOT NULL, last_active_at REAL NOT NULL, expires_days INTEGER,
    swept INTEGER NOT NULL DEFAULT 0
);
INSERT INTO files (id, filename, purpose, media_type, bytes, created_at)
    VALUES ('file-1', 'old.txt', 'assistants', 'text/plain', 3, 1.0);
INSERT INTO stores (id, name, metadata, created_at, last_active_at) VALUES ('vs_1', 'old', '{}', 1.0, 1.0);
PRAGMA user_version = 1;
"""


@pytest.fixture
def written(home: Path) -> Callable[[str], Path]:
    """Has another version's database written in the home of the next server."""

    def write(script: str) -> Path:
        home.mkdir()
        path = home / "vectorstores.db"
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(script)
        return path

    return write


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


async def test_what_version_1_kept_is_there_and_new_things_join_it(written: Callable[[str], Path]) -> None:
    path = written(FIRST)

    async with keeping() as kept:
        files, stores = await kept.client.files.list(), await kept.client.vector_stores.list()
        new = await kept.client.vector_stores.create()
    async with keeping() as kept:
        again = await kept.client.vector_stores.list(order="asc")

    assert [file.id for file in files.data] == ["file-1"]
    assert [store.id for store in stores.data] == ["vs_1"]
    assert [store.id for store in again.data] == ["vs_1", new.id]
    assert version_of(path) == 2


async def test_a_database_that_cannot_be_brought_up_to_date_stays_as_it_was(written: Callable[[str], Path]) -> None:
    path = written("CREATE TABLE files (id TEXT); PRAGMA user_version = 1;")

    async with keeping() as kept:
        with pytest.raises(APIStatusError, match="no such table: stores"):
            await kept.client.files.list()

    assert version_of(path) == 1
    with closing(sqlite3.connect(path)) as connection:
        assert [column[1] for column in connection.execute("PRAGMA table_info(files)")] == ["id"]


async def test_a_database_of_a_later_version_is_no_full_disk(written: Callable[[str], Path]) -> None:
    path = written("PRAGMA user_version = 3;")

    async with keeping() as kept:
        with pytest.raises(APIStatusError, match="written by a later LMX") as refused:
            await kept.client.files.list()

    assert refused.value.status_code == 502
    assert kept.server.log.named("vector_stores_unavailable")
    assert version_of(path) == 3
