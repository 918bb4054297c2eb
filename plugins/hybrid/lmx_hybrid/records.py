"""Collections, documents and chunks in SQL: what is written and read inside a transaction."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from lmx_hookspecs.errors import Conflict, NotFound
from lmx_hookspecs.retrieval import Chunk, CollectionInfo, CollectionSettings, DocumentInfo, Page, StoredDocument
from lmx_hybrid.filter_sql import Condition
from lmx_hybrid.removals import remove_documents
from lmx_hybrid.values import DocumentRow, checked_text, metadata_json

INFO = "SELECT name, title, metadata, content_hash, chunks, tokens, created_at, updated_at FROM documents d"


def make_collection(
    connection: sqlite3.Connection, name: str, settings: CollectionSettings, now: float, id: int | None = None
) -> int:
    """An empty one, with the next number unless one is given; raises Conflict (`collection_exists`)."""
    if connection.execute("SELECT 1 FROM collections WHERE name = ?", (name,)).fetchone():
        raise Conflict(
            f"there is a collection {name!r} already; take another name, or delete it first",
            code="collection_exists",
            param="collection",
        )
    made = connection.execute(
        "INSERT INTO collections (id, name, embedding_model, dimensions, languages, metadata, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            id,
            checked_text(name),
            settings.embedding_model,
            settings.dimensions,
            json.dumps(list(settings.languages)),
            metadata_json(settings.metadata),
            now,
        ),
    )
    if settings.owner is not None:
        connection.execute("INSERT INTO owners VALUES (?, ?)", (made.lastrowid, settings.owner))
    return int(made.lastrowid or 0)


def owner_of(connection: sqlite3.Connection, collection: int) -> str | None:
    """None is everybody's."""
    found = connection.execute("SELECT owner FROM owners WHERE collection = ?", (collection,)).fetchone()
    return found[0] if found else None


def put_document(connection: sqlite3.Connection, collection: int, row: DocumentRow, now: float) -> None:
    """In place of an earlier one with its id."""
    earlier = connection.execute(
        "SELECT id, created_at FROM documents WHERE collection = ? AND name = ?", (collection, row.name)
    ).fetchone()
    created = now
    if earlier is not None:
        created = earlier[1]
        remove_documents(connection, collection, [earlier[0]])
    document = connection.execute(
        "INSERT INTO documents"
        " (collection, name, title, metadata, content_hash, chunks, tokens, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            collection,
            row.name,
            row.title,
            row.metadata,
            row.content_hash,
            len(row.chunks),
            row.tokens,
            created,
            now,
        ),
    ).lastrowid
    for chunk, text, embedding in zip(row.chunks, row.texts, row.embeddings, strict=True):
        number = connection.execute(
            'INSERT INTO chunks (collection, document, place, start, "end", tokens, metadata)'
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (collection, document, *chunk),
        ).lastrowid
        connection.execute("INSERT INTO texts (id, title, text) VALUES (?, ?, ?)", (number, *text))
        connection.execute("INSERT INTO vectors (id, embedding) VALUES (?, ?)", (number, embedding))
    connection.execute(
        "UPDATE collections SET documents = documents + 1, chunks = chunks + ? WHERE id = ?",
        (len(row.chunks), collection),
    )


def document_id(connection: sqlite3.Connection, collection: int, name: str) -> int:
    """Raises NotFound (`document_not_found`)."""
    found = connection.execute(
        "SELECT id FROM documents WHERE collection = ? AND name = ?", (collection, name)
    ).fetchone()
    if found is None:
        raise NotFound(f"the collection has no document {name!r}", code="document_not_found", param="document_id")
    return int(found[0])


def document_info(row: Sequence[Any]) -> DocumentInfo:
    """Of a row of INFO."""
    name, title, metadata, content_hash, chunks, tokens, created_at, updated_at = row
    return DocumentInfo(
        id=name,
        title=title,
        metadata=json.loads(metadata),
        content_hash=content_hash,
        chunks=chunks,
        tokens=tokens,
        created_at=created_at,
        updated_at=updated_at,
    )


def chunks_of(connection: sqlite3.Connection, document: int) -> list[Chunk]:
    """In their order; without embeddings."""
    rows = connection.execute(
        'SELECT c.place, c.start, c."end", c.tokens, c.metadata, t.title, t.text FROM chunks c'
        " JOIN texts t ON t.id = c.id WHERE c.document = ? ORDER BY c.place, c.id",
        (document,),
    )
    return [chunk_of(row) for row in rows]


def chunk_of(row: Sequence[Any], embedding: bytes = b"") -> Chunk:
    """Of place, start, end, tokens, metadata, title and text."""
    place, start, end, tokens, metadata, title, text = row
    return Chunk(
        index=place,
        text=text,
        start=start,
        end=end,
        tokens=tokens,
        title=title,
        metadata=json.loads(metadata) if metadata else {},
        embedding=embedding,
    )


def collection_infos(
    connection: sqlite3.Connection, kinds: Mapping[str, str], name: str | None = None
) -> list[CollectionInfo]:
    """All by name, or one; `kinds` are what vectors are searched with."""
    rows = connection.execute(
        "SELECT c.name, c.embedding_model, c.dimensions, c.languages, c.metadata, c.created_at, c.documents,"
        " c.chunks, o.owner, c.id FROM collections c LEFT JOIN owners o ON o.collection = c.id"
        " WHERE ?1 IS NULL OR c.name = ?1 ORDER BY c.name",
        (name,),
    )
    return [
        CollectionInfo(
            name=name,
            embedding_model=model,
            dimensions=dimensions,
            languages=json.loads(languages),
            metadata=json.loads(metadata),
            created_at=created_at,
            documents=documents,
            chunks=chunks,
            vector_index=kinds.get(name, ""),
            owner=owner,
            id=str(number),
        )
        for name, model, dimensions, languages, metadata, created_at, documents, chunks, owner, number in rows
    ]


def page(connection: sqlite3.Connection, collection: int, after: str, limit: int, condition: Condition | None) -> Page:
    """Documents by their ids."""
    which = condition or Condition("1", ())
    where = f"WHERE d.collection = ? AND {which.sql}"
    parameters = (collection, *which.parameters)
    total = connection.execute(f"SELECT count(*) FROM documents d {where}", parameters).fetchone()[0]  # noqa: S608
    rows = connection.execute(
        f"{INFO} {where} AND d.name > ? ORDER BY d.name LIMIT ?",
        (*parameters, after, max(0, limit)),
    )
    return Page(documents=[document_info(row) for row in rows], total=total)


def stored_document(connection: sqlite3.Connection, collection: int, name: str) -> StoredDocument:
    """One with its chunks; raises NotFound (`document_not_found`)."""
    number = document_id(connection, collection, name)
    return StoredDocument(info=info_of(connection, number), chunks=chunks_of(connection, number))


def info_of(connection: sqlite3.Connection, document: int) -> DocumentInfo:
    """By its number."""
    return document_info(connection.execute(f"{INFO} WHERE d.id = ?", (document,)).fetchone())


def content_hashes(connection: sqlite3.Connection, collection: int, names: Sequence[str]) -> Mapping[str, str]:
    """Of those that are there."""
    return dict(
        connection.execute(
            "SELECT name, content_hash FROM documents WHERE collection = ?"
            " AND name IN (SELECT value FROM json_each(?))",
            (collection, json.dumps(list(names), ensure_ascii=False)),
        )
    )


def update_metadata(
    connection: sqlite3.Connection, collection: int, name: str, metadata: Mapping[str, Any], now: float
) -> DocumentInfo:
    """What they change is no longer what its content hash says; raises NotFound (`document_not_found`)."""
    number = document_id(connection, collection, name)
    connection.execute(
        "UPDATE documents SET content_hash = iif(metadata = ?1, content_hash, ''), metadata = ?1, updated_at = ?2"
        " WHERE id = ?3",
        (metadata_json(metadata), now, number),
    )
    return info_of(connection, number)


def remove_named(connection: sqlite3.Connection, collection: int, names: Sequence[str]) -> int:
    """Returns how many were there."""
    found = connection.execute(
        "SELECT id FROM documents WHERE collection = ? AND name IN (SELECT value FROM json_each(?))",
        (collection, json.dumps(list(names), ensure_ascii=False)),
    ).fetchall()
    if found:
        remove_documents(connection, collection, [document for (document,) in found])
    return len(found)
