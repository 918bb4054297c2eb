"""SQLite files that only their owner can read."""

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

MEMORY = ":memory:"


def open_private(path: Path | None, *, version: int, pragmas: Sequence[str], tables: str) -> sqlite3.Connection:
    """A connection that any one thread may use, with the tables made if need be; without a path, in memory.

    `pragmas` such as `journal_mode = WAL` are set in their order. Raises sqlite3.DatabaseError for what is no database
    of that version, OSError where there can be no file.
    """
    if path is not None:
        make_private(path)
    connection = sqlite3.connect(MEMORY if path is None else path, check_same_thread=False)
    try:
        _prepare(connection, version, pragmas, tables)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, version: int, pragmas: Sequence[str], tables: str) -> None:
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}").fetchall()
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found not in (0, version):
        raise sqlite3.DatabaseError(f"its version is {found}, and this server knows {version}")
    connection.executescript(tables)
    connection.execute(f"PRAGMA user_version = {version}")


def make_private(path: Path) -> None:
    """Have a file that only its owner can read, empty where there was none; SQLite gives those beside it the same mode.

    Raises OSError.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
