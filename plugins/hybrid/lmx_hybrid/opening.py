"""Opening the store: its folder, its database, and what it knows of its collections."""

import json
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

from attrs import frozen

from lmx_hookspecs.context import Logger, WorkerContext
from lmx_hookspecs.retrieval import CollectionSettings
from lmx_hookspecs.stores import StoreSettings
from lmx_hybrid.collection import Live
from lmx_hybrid.compact import compact_kind
from lmx_hybrid.config import HybridConfig
from lmx_hybrid.database import Database, DatabaseOptions, open_database
from lmx_hybrid.directory import DirectoryLock, index_folder, remove_strangers
from lmx_hybrid.flat import FlatIndex, Floats, Ids, Scan, faiss_scan, numpy_scan
from lmx_hybrid.following import Follower
from lmx_hybrid.positions import current
from lmx_hybrid.reserve import Reserve
from lmx_hybrid.searching import Searcher
from lmx_hybrid.store import HybridStore
from lmx_hybrid.sweeping import Sweeper
from lmx_hybrid.text_leg import TextLeg, TextOptions
from lmx_hybrid.vector_index import VectorIndex
from lmx_hybrid.vector_leg import VectorLeg
from lmx_hybrid.vectors import fetch_rows

URGENT_INDEXERS = 2
"""Apart from the indexer of the background, whose steps may take long: a search waits for its own collection only."""


def open_store(ctx: WorkerContext, settings: StoreSettings) -> HybridStore:
    """Returns once the database is open; indexes are read when they are first needed."""
    lock = DirectoryLock.taken(settings.directory)
    try:
        return _opened(ctx, settings, lock)
    except BaseException:
        lock.release()
        raise


def _opened(ctx: WorkerContext, settings: StoreSettings, lock: DirectoryLock) -> HybridStore:
    config: HybridConfig = ctx.config
    options = DatabaseOptions(durable=settings.durable, cache_bytes=config.sqlite_cache_bytes)
    database = open_database(settings.directory / "store.sqlite", options)
    scanners = ThreadPoolExecutor(max(1, config.search_threads - 1), "store-scanner", _one_thread_each)
    opener = CollectionOpener(database, index_folder(settings.directory), config, ctx.log, scanners)
    live = {one.name: one for one in opener.known()}
    writer = ThreadPoolExecutor(1, "store-writer")
    indexers = ThreadPoolExecutor(1, "store-indexer", _one_thread_each)
    urgent = ThreadPoolExecutor(URGENT_INDEXERS, "store-urgent-indexer", _one_thread_each)
    housekeeper = ThreadPoolExecutor(1, "store-housekeeper")
    reserve = Reserve(settings.directory / "reserve")
    reserve.make()
    follower = _follower(database, config, ctx.log, indexers=indexers, urgent=urgent, writer=writer)
    sweeper = _sweeper(database, config, ctx.log, writer=writer, housekeeper=housekeeper, reserve=reserve)
    follower.start(live)
    sweeper.start()
    return HybridStore(
        database=database,
        open_collection=opener.open,
        writer=writer,
        readers=ThreadPoolExecutor(config.reader_threads, "store-reader", _one_thread_each),
        indexers=indexers,
        urgent=urgent,
        scanners=scanners,
        copiers=ThreadPoolExecutor(1, "store-copier"),
        housekeeper=housekeeper,
        follower=follower,
        sweeper=sweeper,
        reserve=reserve,
        searcher=Searcher(database, config.candidates, config.filter_cache),
        lock=lock,
        live=live,
    )


def _follower(
    database: Database, config: HybridConfig, log: Logger, *, indexers: Executor, urgent: Executor, writer: Executor
) -> Follower:
    return Follower(
        database=database,
        indexers=indexers,
        urgent=urgent,
        writer=writer,
        log=log,
        commit_interval_s=config.commit_interval_sec,
        checkpoint_interval_s=config.checkpoint_interval_sec,
    )


def _sweeper(
    database: Database, config: HybridConfig, log: Logger, *, writer: Executor, housekeeper: Executor, reserve: Reserve
) -> Sweeper:
    return Sweeper(
        database=database,
        writer=writer,
        housekeeper=housekeeper,
        reserve=reserve,
        log=log,
        interval_s=config.checkpoint_interval_sec,
    )


@frozen
class CollectionOpener:
    """Makes the legs of a collection as the configuration wants them."""

    database: Database
    directory: Path
    config: HybridConfig
    log: Logger
    scanners: Executor

    def known(self) -> Sequence[Live]:
        """Those in the database."""
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT id, name, embedding_model, dimensions, languages FROM collections"
            ).fetchall()
            reached = current(connection)
        found = [
            self.open(
                number, name, CollectionSettings(embedding_model=model, dimensions=size, languages=json.loads(codes))
            )
            for number, name, model, size, codes in rows
        ]
        for live in found:
            live.committed = reached
        remove_strangers(self.directory, {live.id for live in found})
        return found

    def open(self, id: int, name: str, settings: CollectionSettings) -> Live:
        """One."""
        vectors = self._vector_index(settings.dimensions)
        return Live(
            id=id,
            name=name,
            embedding_model=settings.embedding_model,
            dimensions=settings.dimensions,
            vector=VectorLeg(self.database, id, self.directory / f"{id}-vectors", vectors, self.log),
            keyword=self._keyword(id, settings.languages) if self.config.keyword_index else None,
        )

    def _vector_index(self, dimensions: int) -> VectorIndex:
        exact, scan = exact_scan(self.config.vector_index)

        def fetch(ids: Ids) -> tuple[Ids, Floats]:
            return fetch_rows(self.database, ids, dimensions)

        kind = compact_kind(self.config, dimensions, fetch)
        tail = FlatIndex(dimensions, scan, self.scanners, self.config.search_threads)
        return VectorIndex(exact=exact, tail=tail, kind=kind, fetch=fetch)

    def _keyword(self, id: int, languages: Sequence[str]) -> TextLeg:
        options = TextOptions(
            languages=languages,
            title_boost=self.config.title_boost,
            heap_bytes=self.config.keyword_heap_bytes,
        )
        return TextLeg(self.database, id, self.directory / f"{id}-words", options, self.log)


def exact_scan(wanted: str) -> tuple[str, Scan]:
    """FAISS where it is installed and not excluded, else NumPy."""
    if wanted != "numpy" and find_spec("faiss") is not None:
        return "flat", faiss_scan
    return "numpy", numpy_scan


def _one_thread_each() -> None:
    """FAISS counts its threads for each of ours; a second one for the same search waits spinning."""
    if find_spec("faiss") is not None:
        import faiss

        faiss.omp_set_num_threads(1)
