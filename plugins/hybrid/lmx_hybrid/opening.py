"""Opening the store: its folder, its database, and what it knows of its collections."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from attrs import frozen

from lmx_hookspecs.context import WorkerContext
from lmx_hookspecs.retrieval import StoreSettings
from lmx_hybrid.collection import Live
from lmx_hybrid.config import HybridConfig
from lmx_hybrid.database import Database, DatabaseOptions, open_database
from lmx_hybrid.flat import FlatIndex, Scan, faiss_scan, numpy_scan
from lmx_hybrid.legs import TextLeg, VectorLeg
from lmx_hybrid.positions import current
from lmx_hybrid.store import HybridStore


def open_store(ctx: WorkerContext, settings: StoreSettings) -> HybridStore:
    """Returns once the database is open; indexes are read when they are first needed."""
    config: HybridConfig = ctx.config
    settings.directory.mkdir(parents=True, exist_ok=True)
    options = DatabaseOptions(durable=settings.durable, cache_bytes=config.sqlite_cache_bytes)
    database = open_database(settings.directory / "store.sqlite", options)
    opener = CollectionOpener(database=database, directory=settings.directory / "indexes", config=config)
    return HybridStore(
        config=config,
        log=ctx.log,
        directory=settings.directory,
        database=database,
        open_collection=opener.open,
        writer=ThreadPoolExecutor(1, "store-writer"),
        readers=ThreadPoolExecutor(config.reader_threads, "store-reader"),
        indexers=ThreadPoolExecutor(1, "store-indexer"),
        live={live.name: live for live in opener.known()},
    )


@frozen(kw_only=True)
class CollectionOpener:
    """Makes the legs of a collection as the configuration wants them."""

    database: Database
    directory: Path
    config: HybridConfig

    def known(self) -> Sequence[Live]:
        """Those in the database."""
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT id, name, embedding_model, dimensions, languages FROM collections"
            ).fetchall()
            reached = current(connection)
        found = [self.open(id, name, model, size, json.loads(languages)) for id, name, model, size, languages in rows]
        for live in found:
            live.committed = reached
        return found

    def open(self, id: int, name: str, embedding_model: str, dimensions: int, languages: Sequence[str]) -> Live:
        """One."""
        return Live(
            id=id,
            name=name,
            embedding_model=embedding_model,
            dimensions=dimensions,
            vector=VectorLeg(self.database, id, *self._vector_index(dimensions)),
            keyword=self._keyword(id, languages) if self.config.keyword_index else None,
        )

    def _vector_index(self, dimensions: int) -> tuple[FlatIndex, str]:
        kind, scan = exact_scan(self.config.vector_index)
        return FlatIndex(dimensions, scan), kind

    def _keyword(self, id: int, languages: Sequence[str]) -> TextLeg:
        options = {
            "languages": languages,
            "title_boost": self.config.title_boost,
            "heap_bytes": self.config.keyword_heap_bytes,
        }
        return TextLeg(self.database, id, self.directory / f"{id}-words", options)


def exact_scan(wanted: str) -> tuple[str, Scan]:
    """FAISS where it is installed and not excluded, else NumPy."""
    if wanted != "numpy":
        try:
            import faiss
        except ImportError:
            pass
        else:
            faiss.omp_set_num_threads(1)
            return "flat", faiss_scan
    return "numpy", numpy_scan
