"""The store: what the kernel calls, on its event loop; all work is done in threads."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from sqlite3 import Connection
from typing import Any, TypeVar

from attrs import define

from lmx_hookspecs.filters import parse_filter
from lmx_hookspecs.ownership import changed_collection, unknown_collection
from lmx_hookspecs.retrieval import (
    CollectionInfo,
    CollectionSettings,
    Document,
    DocumentInfo,
    Page,
    Search,
    SearchResult,
    StoredDocument,
)
from lmx_hybrid import records
from lmx_hybrid.collection import Live, check_same
from lmx_hybrid.database import Database
from lmx_hybrid.describing import description
from lmx_hybrid.directory import DirectoryLock
from lmx_hybrid.filter_sql import of_documents
from lmx_hybrid.following import Follower
from lmx_hybrid.positions import current
from lmx_hybrid.removals import remove_collection
from lmx_hybrid.reserve import Reserve
from lmx_hybrid.restoring import Place, Restorer
from lmx_hybrid.searching import Searcher
from lmx_hybrid.snapshots import checked_snapshot, write_snapshot
from lmx_hybrid.sweeping import Sweeper
from lmx_hybrid.values import checked_settings, document_row

T = TypeVar("T")
ATTEMPTS = 3
"""Searches that found what was deleted meanwhile are repeated so often."""


@define(eq=False, kw_only=True)
class HybridStore:
    """A Retriever."""

    database: Database
    open_collection: Callable[[int, str, CollectionSettings], Live]
    writer: Executor
    readers: Executor
    indexers: Executor
    urgent: Executor
    scanners: Executor
    copiers: Executor
    """Of snapshots, which take seconds: searches do not wait for them."""
    housekeeper: Executor
    follower: Follower
    sweeper: Sweeper
    reserve: Reserve
    searcher: Searcher
    lock: DirectoryLock
    live: dict[str, Live]

    async def create(self, collection: str, settings: CollectionSettings) -> CollectionInfo:
        """Make an empty one."""
        checked_settings(collection, settings)
        await self._adding(lambda: self._create(collection, settings))
        return await self.collection(collection)

    def _create(self, collection: str, settings: CollectionSettings) -> None:
        with self.database.writing() as connection:
            made = self._made(connection, collection, settings)
        self.live[collection] = made

    def _made(self, connection: Connection, collection: str, settings: CollectionSettings) -> Live:
        number = records.make_collection(connection, collection, settings, time.time())
        return self.open_collection(number, collection, settings)

    async def ingest(
        self, collection: str, settings: CollectionSettings, documents: Sequence[Document], *, into: str = ""
    ) -> None:
        """Store documents, all of them or none."""
        checked_settings(collection, settings)
        try:
            await self._adding(lambda: self._ingest(collection, settings, documents, into))
        finally:  # a caller that gives up leaves it stored
            self._follow_soon(collection)
            self.sweeper.soon()

    def _ingest(self, collection: str, settings: CollectionSettings, documents: Sequence[Document], into: str) -> None:
        live = self.live.get(collection)
        if into and (live is None or str(live.id) != into):
            raise changed_collection(collection)
        if live is not None:
            check_same(live, settings)
        rows = [document_row(document, settings.dimensions) for document in documents]
        now = time.time()
        with self.database.writing() as connection:
            kept = live or self._made(connection, collection, settings)
            if not into and records.owner_of(connection, kept.id) != settings.owner:
                raise changed_collection(collection)
            for row in rows:
                records.put_document(connection, kept.id, row, now)
            reached = current(connection)
        kept.committed = reached
        self.live[collection] = kept

    async def search(self, collection: str, search: Search) -> SearchResult:
        """Find chunks, after what was acknowledged before has been indexed."""
        live = self._known(collection)
        wanted = None if search.filter is None else parse_filter(search.filter)
        legs = live.legs_of(search)
        for attempt in range(ATTEMPTS):
            await self.follower.follow(live, legs)
            found = await self._in(self.readers, lambda: self.searcher.find(live, search, wanted))
            if found.complete or attempt == ATTEMPTS - 1:
                break
        if live.dropped:
            raise unknown_collection(collection)
        return found.result

    async def collections(self) -> Sequence[CollectionInfo]:
        """All, by name."""
        return await self._in(self.readers, lambda: self._infos(None))

    async def collection(self, collection: str) -> CollectionInfo:
        """One."""
        infos = await self._in(self.readers, lambda: self._infos(collection))
        if not infos:
            raise unknown_collection(collection)
        return infos[0]

    def _infos(self, collection: str | None) -> list[CollectionInfo]:
        kinds = {name: live.vector.index.name for name, live in list(self.live.items())}
        with self.database.reading() as connection:
            return records.collection_infos(connection, kinds, collection)

    async def drop(self, collection: str) -> int:
        """Delete one; its index goes with it, and what it holds goes in the background."""
        self._known(collection)
        removed, dropping = await self._freeing(lambda: self._drop(collection))
        await asyncio.shield(asyncio.wrap_future(dropping))  # its files go even where the caller gives up
        return removed

    def _drop(self, collection: str) -> tuple[int, Future[None]]:
        live = self._known(collection)
        with self.database.writing() as connection:
            removed = remove_collection(connection, live.id)
        del self.live[collection]
        live.dropped = True
        return removed, self.housekeeper.submit(live.drop)

    async def documents(
        self, collection: str, *, after: str = "", limit: int = 100, filter: Mapping[str, Any] | None = None
    ) -> Page:
        """A page of them."""
        live = self._known(collection)
        condition = None if filter is None else of_documents(parse_filter(filter))

        def read() -> Page:
            with self.database.reading() as connection:
                return records.page(connection, live.id, after, limit, condition)

        return await self._in(self.readers, read)

    async def document(self, collection: str, document_id: str) -> StoredDocument:
        """One with its chunks."""
        live = self._known(collection)

        def read() -> StoredDocument:
            with self.database.reading() as connection:
                return records.stored_document(connection, live.id, document_id)

        return await self._in(self.readers, read)

    async def hashes(self, collection: str, document_ids: Sequence[str]) -> Mapping[str, str]:
        """Of those that are there."""
        live = self.live.get(collection)
        if live is None:
            return {}

        def read() -> Mapping[str, str]:
            with self.database.reading() as connection:
                return records.content_hashes(connection, live.id, document_ids)

        return await self._in(self.readers, read)

    async def update_metadata(self, collection: str, document_id: str, metadata: Mapping[str, Any]) -> DocumentInfo:
        """Filters read metadata from the database, so that no index changes."""

        def write() -> DocumentInfo:
            live = self._known(collection)
            with self.database.writing() as connection:
                info = records.update_metadata(connection, live.id, document_id, metadata, time.time())
            live.revision += 1
            return info

        return await self._in(self.writer, write)

    async def delete(self, collection: str, document_ids: Sequence[str]) -> int:
        """Delete documents."""
        self._known(collection)
        removed = await self._freeing(lambda: self._delete(collection, document_ids))
        self._follow_soon(collection)
        return removed

    def _delete(self, collection: str, document_ids: Sequence[str]) -> int:
        live = self._known(collection)
        with self.database.writing() as connection:
            removed = records.remove_named(connection, live.id, document_ids)
            reached = current(connection)
        live.committed = reached
        return removed

    async def snapshot(self, collection: str, file: Path) -> int:
        """To a file of its own."""
        live = self._known(collection)
        return await self._in(self.copiers, lambda: write_snapshot(self.database, live.id, file))

    async def restore(self, file: Path, collection: str) -> CollectionInfo:
        """From such a file."""
        settings = checked_settings(collection, await self._in(self.copiers, lambda: checked_snapshot(file)))
        await self._in(self.writer, self.reserve.require)
        restorer = Restorer(self.database, self.writer, self.sweeper, file, collection, settings)
        place = await restorer.copy()
        try:
            await self._in(self.writer, lambda: self._publish(restorer, place))
        finally:
            restorer.give_up()
        self._follow_soon(collection)
        return await self.collection(collection)

    def _publish(self, restorer: Restorer, place: Place) -> None:
        with self.database.writing() as connection:
            restorer.publish(connection, place)
            made = self.open_collection(place.collection, restorer.name, restorer.settings)
            made.committed = current(connection)
        self.live[restorer.name] = made

    async def describe(self) -> Mapping[str, Any]:
        """Memory, files, and what each collection is indexed with."""
        live = list(self.live.values())
        return await self._in(self.readers, lambda: description(self.database, live, self.follower))

    async def close(self) -> None:
        """Write down what is indexed by now, and close."""
        await self.sweeper.close()
        await self._in(self.writer, lambda: None)  # what was being written is written
        await self.follower.close(list(self.live.values()))
        for executor in (self.writer, self.readers, self.indexers, self.urgent, self.scanners, self.copiers):
            executor.shutdown()
        self.housekeeper.shutdown()
        self.database.close()
        self.lock.release()

    def _known(self, collection: str) -> Live:
        live = self.live.get(collection)
        if live is None:
            raise unknown_collection(collection)
        return live

    async def _adding(self, work: Callable[[], T]) -> T:
        def add() -> T:
            self.reserve.require()
            return work()

        return await self._in(self.writer, add)

    async def _freeing(self, work: Callable[[], T]) -> T:
        try:
            return await self._in(self.writer, lambda: self.reserve.freeing(work, self.database.truncate))
        finally:
            self.sweeper.soon()

    async def _in(self, executor: Executor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(executor, work)

    def _follow_soon(self, collection: str) -> None:
        live = self.live.get(collection)
        if live is not None:
            self.follower.follow_soon(live)
