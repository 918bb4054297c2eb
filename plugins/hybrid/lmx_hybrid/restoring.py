"""A collection made from a snapshot, batch by batch: hidden until it is whole, and then there at once."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from contextlib import closing
from pathlib import Path
from sqlite3 import Connection

from attrs import define, field, frozen

from lmx_hookspecs.retrieval import CollectionSettings
from lmx_hybrid.database import Database
from lmx_hybrid.records import make_collection
from lmx_hybrid.removals import BATCH, hide_collection
from lmx_hybrid.schema import GRAVE
from lmx_hybrid.snapshots import attached, open_to_read
from lmx_hybrid.sweeping import Sweeper

DOCUMENTS = """
INSERT INTO main.documents SELECT id + :documents, :collection, name, title, metadata, content_hash, chunks, tokens,
    created_at, updated_at FROM copy.documents WHERE id > :after AND id <= :upto ORDER BY id
"""
CHUNKS = """
INSERT INTO main.chunks SELECT id + :chunks, :collection, document + :documents, place, start, "end", tokens, metadata
    FROM copy.chunks WHERE id > :after AND id <= :upto ORDER BY id
"""
TEXTS = """
INSERT INTO main.texts SELECT id + :chunks, title, text FROM copy.texts WHERE id > :after AND id <= :upto ORDER BY id
"""
VECTORS = """
INSERT INTO main.vectors SELECT id + :chunks, embedding FROM copy.vectors WHERE id > :after AND id <= :upto ORDER BY id
"""


@frozen(kw_only=True)
class Place:
    """Where a snapshot goes: its collection, and what is added to its numbers, of which so many are set aside."""

    collection: int
    documents_from: int
    chunks_from: int
    documents: int
    chunks: int

    def batches(self) -> Iterator[tuple[tuple[str, ...], int]]:
        """Statements, and after which number they go on."""
        for after in range(0, self.documents, BATCH):
            yield (DOCUMENTS,), after
        for after in range(0, self.chunks, BATCH):
            yield (CHUNKS, TEXTS, VECTORS), after

    def parameters(self, after: int) -> Mapping[str, int]:
        """Of a batch."""
        return {
            "collection": self.collection,
            "documents": self.documents_from,
            "chunks": self.chunks_from,
            "after": after,
            "upto": after + BATCH,
        }


@define
class Restorer:
    """Copies one snapshot, which has been checked."""

    database: Database
    writer: Executor
    sweeper: Sweeper
    file: Path
    name: str
    settings: CollectionSettings
    _collection: int = field(default=GRAVE, init=False)
    """Once there is one."""

    async def copy(self) -> Place:
        """All of it, into a collection that nobody sees; whoever calls publishes it, or gives it up."""
        loop = asyncio.get_running_loop()
        try:
            place = await loop.run_in_executor(self.writer, self._begin)
            for statements, after in place.batches():
                await loop.run_in_executor(self.writer, self._copy, place, statements, after)
        except BaseException:
            self.give_up()
            raise
        return place

    def publish(self, connection: Connection, place: Place) -> None:
        """In the transaction in progress; raises Conflict (`collection_exists`)."""
        make_collection(connection, self.name, self.settings, time.time(), place.collection)
        connection.execute(
            "UPDATE collections SET documents = ?, chunks = ? WHERE id = ?",
            (place.documents, place.chunks, place.collection),
        )
        connection.execute("DELETE FROM removed WHERE collection = ?", (place.collection,))

    def give_up(self) -> None:
        """It is removed, unless it has been published; not before what the writer has been asked for by now is done."""
        self.writer.submit(lambda: self.sweeper.restoring.discard(self._collection))
        self.sweeper.soon()

    def _begin(self) -> Place:
        with closing(open_to_read(self.file)) as copy:
            (documents,), (chunks,) = (
                copy.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608  the names beside
                for table in ("documents", "chunks")
            )
        with self.database.writing() as connection:
            collection = make_collection(connection, self.name, self.settings, time.time())
            hide_collection(connection, collection)
            place = Place(
                collection=collection,
                documents_from=_set_aside(connection, "documents", documents),
                chunks_from=_set_aside(connection, "chunks", chunks),
                documents=documents,
                chunks=chunks,
            )
            self._collection = collection
            self.sweeper.restoring.add(collection)
        return place

    def _copy(self, place: Place, statements: tuple[str, ...], after: int) -> None:
        with attached(self.database.connection(), self.file, "ro"), self.database.writing() as connection:
            for statement in statements:
                connection.execute(statement, place.parameters(after))


def _set_aside(connection: Connection, table: str, count: int) -> int:
    """So many numbers of a table, which nobody else gets; returns the one before them."""
    known = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    if known is None:
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, count))
        return 0
    connection.execute("UPDATE sqlite_sequence SET seq = seq + ? WHERE name = ?", (count, table))
    return int(known[0])
