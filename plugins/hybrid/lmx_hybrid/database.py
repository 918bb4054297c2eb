"""The database file: opened, checked, and one connection for each thread."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, local

from attrs import define, field, frozen

from lmx_hookspecs.databases import make_private
from lmx_hookspecs.errors import EngineFailed, InsufficientStorage, LmxError
from lmx_hybrid.schema import APPLICATION_ID, OWNERS, REMOVED, TABLES, VERSION

PATIENCE_S = 30.0
"""How long one connection waits for another one's lock."""
SIDE_FILES = ("-wal", "-shm")
SHRUNK_PAGES = 128
WAL_BYTES = 64 * 2**20


@frozen(kw_only=True)
class DatabaseOptions:
    """How connections are set up."""

    durable: bool
    cache_bytes: int


@define
class Database:
    """Connections to one file, each used by the thread that asked for it."""

    file: Path
    options: DatabaseOptions
    _of_thread: local = field(factory=local, init=False)
    _all: list[sqlite3.Connection] = field(factory=list, init=False)
    _lock: Lock = field(factory=Lock, init=False)

    def connection(self) -> sqlite3.Connection:
        """That of this thread."""
        held: sqlite3.Connection | None = getattr(self._of_thread, "connection", None)
        if held is None:
            held = _connect(self.file, self.options)
            self._of_thread.connection = held
            with self._lock:
                self._all.append(held)
        return held

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """All that is read inside is of one moment."""
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """All that is written inside is there at the end, or nothing of it."""
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with telling_of(self.file):
            connection = self.connection()
            connection.execute(begin)
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def flush(self) -> None:
        """Make all that is committed outlive a power failure, where commits by themselves do not."""
        if not self.options.durable:
            with telling_of(self.file):
                self.connection().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def shrink(self) -> bool:
        """Give some of the space of what was deleted back to the disk; returns whether there is more."""
        with telling_of(self.file):
            connection = self.connection()
            if _pragma(connection, "freelist_count"):
                connection.execute(f"PRAGMA incremental_vacuum({SHRUNK_PAGES})").fetchall()
            return _pragma(connection, "freelist_count") > 0

    def backfill(self) -> None:
        """Move what stands in the log to its place, as far as no reader needs it there; nobody waits for that."""
        with telling_of(self.file):
            self.connection().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def truncate(self) -> None:
        """Give the space of the log back, unless somebody reads from it now; it has been backfilled, mostly."""
        with telling_of(self.file):
            connection = self.connection()
            connection.execute("PRAGMA busy_timeout = 0")
            try:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                connection.execute(f"PRAGMA busy_timeout = {round(PATIENCE_S * 1000)}")

    def close(self) -> None:
        """Close all connections; their threads must have ended."""
        with self._lock:
            for connection in self._all:
                connection.close()
            self._all.clear()


def open_database(file: Path, options: DatabaseOptions) -> Database:
    """Open or make the database.

    Raises EngineFailed for a file that is damaged, no database of ours, or of a later version; it is left as it is.
    """
    database = Database(file, options)
    try:
        with telling_of(file):
            _make_private(file)
            _prepare(database, file)
    except LmxError:
        database.close()
        raise
    return database


@contextmanager
def telling_of(file: Path) -> Iterator[None]:
    """Turn the errors of SQLite, and of its files, into ours."""
    try:
        yield
    except (sqlite3.DatabaseError, OSError) as error:
        if "full" in str(error):
            raise InsufficientStorage(f"{file} cannot grow: {error}; make room on its disk") from error
        raise EngineFailed(
            f"the database {file} cannot be used: {error}; it was left as it is: put back a copy, or move it away "
            f"and ingest again"
        ) from error


def _make_private(file: Path) -> None:
    """Whatever the folder is: it may have been there before, for others to read."""
    make_private(file)
    for beside in (file.with_name(file.name + suffix) for suffix in SIDE_FILES):
        if beside.exists():
            beside.chmod(0o600)


def _prepare(database: Database, file: Path) -> None:
    connection = database.connection()
    application, version = (_pragma(connection, name) for name in ("application_id", "user_version"))
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if not tables and not application:
        _create(connection)
    elif application != APPLICATION_ID:
        raise EngineFailed(f"{file} is a database of something else; set rag.persist_path to another folder")
    elif version == 1:
        _upgrade(connection)
    elif version != VERSION:
        raise EngineFailed(
            f"{file} was written in version {version} of the store and this LMX reads versions 1 to {VERSION}; "
            f"use the LMX that wrote it, or set rag.persist_path to another folder"
        )


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA page_size = 8192")
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(
        f"BEGIN IMMEDIATE; {TABLES} {OWNERS}; {REMOVED};"
        f" PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; COMMIT;"
    )


def _upgrade(connection: sqlite3.Connection) -> None:
    """From version 1: whoever reads that one only is kept out from now on."""
    connection.executescript(f"BEGIN IMMEDIATE; {OWNERS}; {REMOVED}; PRAGMA user_version = {VERSION}; COMMIT;")


def _connect(file: Path, options: DatabaseOptions) -> sqlite3.Connection:
    connection = sqlite3.connect(
        file.absolute().as_uri(), uri=True, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False
    )
    connection.execute(f"PRAGMA cache_size = -{options.cache_bytes // 1024}")
    connection.execute(f"PRAGMA synchronous = {'FULL' if options.durable else 'NORMAL'}")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)
