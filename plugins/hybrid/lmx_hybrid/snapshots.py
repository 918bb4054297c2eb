"""One collection as a file of its own: a SQLite database with the same tables, in which ids count from 1."""

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import numpy as np

from lmx_hookspecs.databases import make_private
from lmx_hookspecs.errors import Conflict, InvalidRequest, LmxError, NotFound
from lmx_hookspecs.retrieval import CollectionSettings
from lmx_hybrid.database import Database, telling_of
from lmx_hybrid.schema import TABLES
from lmx_hybrid.values import FLOAT_BYTES, checked_settings

APPLICATION_ID = 0x4C4D5853  # "LMXS"
VERSION = 1
BATCH = 1024

WRITE = """
INSERT INTO copy.collections SELECT 1, name, embedding_model, dimensions, languages, metadata, created_at, documents,
    chunks FROM main.collections WHERE id = :collection;
CREATE TEMP TABLE copied_documents AS SELECT id AS old, row_number() OVER (ORDER BY id) AS new FROM main.documents
    WHERE collection = :collection;
CREATE UNIQUE INDEX temp.copied_documents_by_old ON copied_documents (old);
CREATE TEMP TABLE copied_chunks AS SELECT id AS old, row_number() OVER (ORDER BY id) AS new FROM main.chunks
    WHERE collection = :collection AND document IN (SELECT old FROM copied_documents);
INSERT INTO copy.documents SELECT m.new, 1, d.name, d.title, d.metadata, d.content_hash, d.chunks, d.tokens,
    d.created_at, d.updated_at FROM copied_documents m JOIN main.documents d ON d.id = m.old ORDER BY m.new;
INSERT INTO copy.chunks SELECT m.new, 1, o.new, c.place, c.start, c."end", c.tokens, c.metadata
    FROM copied_chunks m JOIN main.chunks c ON c.id = m.old JOIN copied_documents o ON o.old = c.document
    ORDER BY m.new;
INSERT INTO copy.texts SELECT m.new, t.title, t.text FROM copied_chunks m JOIN main.texts t ON t.id = m.old
    ORDER BY m.new;
INSERT INTO copy.vectors SELECT m.new, v.embedding FROM copied_chunks m JOIN main.vectors v ON v.id = m.old
    ORDER BY m.new;
DROP TABLE copied_documents;
DROP TABLE copied_chunks;
"""
SHAPE = {
    "one collection": "SELECT count(*) = 1 AND min(id) = 1 FROM collections",
    "documents in a row": "SELECT count(*) = coalesce(max(id), 0) AND coalesce(min(id), 1) = 1 FROM documents",
    "chunks in a row": "SELECT count(*) = coalesce(max(id), 0) AND coalesce(min(id), 1) = 1 FROM chunks",
    "chunks with documents": "SELECT NOT EXISTS (SELECT 1 FROM chunks"
    " WHERE document NOT IN (SELECT id FROM documents))",
    "chunks as documents count them": "SELECT NOT EXISTS (SELECT 1 FROM documents d WHERE d.chunks <>"
    " (SELECT count(*) FROM chunks c WHERE c.document = d.id))",
    "a text for each chunk": "SELECT (SELECT count(*) FROM texts) = (SELECT count(*) FROM chunks)"
    " AND NOT EXISTS (SELECT id FROM chunks EXCEPT SELECT id FROM texts)",
    "a vector for each chunk": "SELECT (SELECT count(*) FROM vectors) = (SELECT count(*) FROM chunks)"
    " AND NOT EXISTS (SELECT id FROM chunks EXCEPT SELECT id FROM vectors)",
    "metadata of objects": "SELECT NOT EXISTS (SELECT 1 FROM documents WHERE NOT json_valid(metadata)"
    " OR json_type(metadata) <> 'object') AND NOT EXISTS (SELECT 1 FROM chunks WHERE metadata IS NOT NULL"
    " AND (NOT json_valid(metadata) OR json_type(metadata) <> 'object'))"
    " AND (SELECT json_valid(metadata) AND json_type(metadata) = 'object' AND json_valid(languages)"
    " AND json_type(languages) = 'array' FROM collections)",
    "values of the right types": "SELECT NOT EXISTS (SELECT 1 FROM documents WHERE typeof(name) <> 'text'"
    " OR typeof(title) <> 'text' OR typeof(content_hash) <> 'text' OR typeof(tokens) <> 'integer'"
    " OR typeof(created_at) <> 'real' OR typeof(updated_at) <> 'real')"
    " AND NOT EXISTS (SELECT 1 FROM chunks WHERE typeof(place) <> 'integer' OR typeof(start) <> 'integer'"
    " OR typeof(\"end\") <> 'integer' OR typeof(tokens) <> 'integer')"
    " AND NOT EXISTS (SELECT 1 FROM texts WHERE typeof(title) <> 'text' OR typeof(text) <> 'text')"
    " AND (SELECT typeof(name) = 'text' AND typeof(embedding_model) = 'text' AND typeof(dimensions) = 'integer'"
    " AND typeof(languages) = 'text' AND typeof(metadata) = 'text' FROM collections)",
    "ids without NUL": "SELECT NOT EXISTS (SELECT 1 FROM documents WHERE instr(name, char(0)) > 0)",
    "no notes of deletions": "SELECT NOT EXISTS (SELECT 1 FROM deletions)",
}
"""What holds of a snapshot, each as a question to it."""
TEXTS = (
    "SELECT name, title, metadata, content_hash FROM documents",
    "SELECT metadata FROM chunks",
    "SELECT title, text FROM texts",
)
"""Whatever is to be UTF-8: SQLite does not look at that, and a row that is not could never be read again."""


def write_snapshot(database: Database, collection: int, file: Path) -> int:
    """Write it beside its place and move it there, so that it appears whole; returns its chunks."""
    if file.exists():
        raise _exists(file)
    partial = file.with_name(f".{uuid4().hex}.partial")
    try:
        with telling_of(file):
            make_private(partial)
            _make_empty(partial)
            chunks = _copy_out(database, collection, partial)
        _move(partial, file)
    finally:
        partial.unlink(missing_ok=True)
    return chunks


def checked_snapshot(file: Path) -> CollectionSettings:
    """Look at every page, row and vector; raises InvalidRequest (`invalid_snapshot`)."""
    try:
        with closing(open_to_read(file)) as connection:
            _check_file(connection)
            settings = _settings(connection)
            _check_texts(connection)
            _check_vectors(connection, settings.dimensions)
    except (sqlite3.DatabaseError, OSError, UnicodeDecodeError) as error:
        raise _invalid(str(error)) from error
    except InvalidRequest as error:
        raise _invalid(error.message) from error
    return settings


@contextmanager
def attached(connection: sqlite3.Connection, file: Path, mode: str) -> Iterator[None]:
    """The file as the database `copy`."""
    connection.execute("ATTACH ? AS copy", (f"{file.absolute().as_uri()}?mode={mode}",))
    try:
        yield
    finally:
        with suppress(sqlite3.OperationalError):  # it goes with the connection, then
            connection.execute("DETACH copy")


def _make_empty(file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.executescript(
            f"PRAGMA page_size = 8192; BEGIN; {TABLES} PRAGMA application_id = {APPLICATION_ID};"
            f" PRAGMA user_version = {VERSION}; COMMIT;"
        )


def _copy_out(database: Database, collection: int, file: Path) -> int:
    connection = database.connection()
    with attached(connection, file, "rw"), database.reading():
        if not connection.execute("SELECT 1 FROM main.collections WHERE id = ?", (collection,)).fetchone():
            raise NotFound("the collection has been deleted", code="collection_not_found", param="collection")
        _execute(connection, WRITE, {"collection": collection})
        (chunks,) = connection.execute("SELECT count(*) FROM copy.chunks").fetchone()
    return int(chunks)


def _move(partial: Path, file: Path) -> None:
    with partial.open("rb") as written:
        os.fsync(written.fileno())
    try:
        os.link(partial, file)
    except FileExistsError:
        raise _exists(file) from None
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def open_to_read(file: Path) -> sqlite3.Connection:
    """As it is, with nothing written beside it."""
    connection = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _check_file(connection: sqlite3.Connection) -> None:
    for pragma, wanted in (("application_id", APPLICATION_ID), ("user_version", VERSION), ("integrity_check(1)", "ok")):
        (found,) = connection.execute(f"PRAGMA {pragma}").fetchone()
        if found != wanted:
            raise _invalid(f"its {pragma.removesuffix('(1)')} is {found}, not {wanted}")
    if _statements(connection) != _expected_statements():
        raise _invalid("its tables are others")
    for what, question in SHAPE.items():
        if connection.execute(question).fetchone() != (1,):
            raise _invalid(f"it does not have {what}")


def _statements(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    """What the tables and indexes were made by; a trigger or view among them would run when it is read."""
    return set(connection.execute("SELECT name, coalesce(sql, '') FROM sqlite_master"))


def _expected_statements() -> set[tuple[str, str]]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(TABLES)
        return _statements(connection)


def _settings(connection: sqlite3.Connection) -> CollectionSettings:
    name, model, dimensions, languages, metadata = connection.execute(
        "SELECT name, embedding_model, dimensions, languages, metadata FROM collections"
    ).fetchone()
    settings = CollectionSettings(
        embedding_model=model,
        dimensions=dimensions,
        languages=[str(language) for language in json.loads(languages)],
        metadata=json.loads(metadata),
    )
    return checked_settings(name, settings)


def _check_texts(connection: sqlite3.Connection) -> None:
    """Read them all; raises OperationalError for what is no UTF-8."""
    for select in TEXTS:
        for _ in connection.execute(select):
            pass


def _check_vectors(connection: sqlite3.Connection, dimensions: int) -> None:
    wrong = connection.execute(
        "SELECT count(*) FROM vectors WHERE typeof(embedding) <> 'blob' OR length(embedding) <> ?",
        (dimensions * FLOAT_BYTES,),
    ).fetchone()[0]
    if wrong:
        raise _invalid(f"{wrong} of its vectors do not have {dimensions} dimensions")
    rows = connection.execute("SELECT embedding FROM vectors")
    while batch := rows.fetchmany(BATCH):
        if not np.isfinite(np.frombuffer(b"".join(vector for (vector,) in batch), "<f4")).all():
            raise _invalid("a vector holds NaN or infinity")


def _execute(connection: sqlite3.Connection, script: str, parameters: dict[str, int]) -> None:
    for statement in script.split(";"):
        if statement.strip():
            connection.execute(statement, parameters)


def _exists(file: Path) -> LmxError:
    return Conflict(f"there is a file {file} already; choose another name", code="file_exists", param="file")


def _invalid(reason: str) -> InvalidRequest:
    return InvalidRequest(
        f"the file is no snapshot of a collection ({reason}); send one that export made",
        code="invalid_snapshot",
        param="file",
    )
