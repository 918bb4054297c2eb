"""Configuration of the store: `plugins.hybrid`."""

from attrs import frozen

from lmx_hookspecs import option

VECTOR_INDEXES = ("auto", "flat", "ivfpq", "hnsw", "numpy")


@frozen(kw_only=True)
class HybridConfig:
    """How collections are indexed, and what that may take."""

    vector_index: str = option(
        "auto",
        "what vectors are searched with: flat (FAISS, exact), numpy (exact), hnsw (a graph, for large collections), "
        "ivfpq (compressed, for memory); auto is flat up to flat_limit, then hnsw, or from 4 times that on ivfpq",
        choices=VECTOR_INDEXES,
    )
    flat_limit: int = option(50_000, "chunks of a collection up to which auto stays exact", ge=1)
    hnsw_m: int = option(16, "links of a vector in the graph; more find more, and take more memory", ge=4, le=128)
    hnsw_ef_construction: int = option(200, "neighbours looked at for each vector that joins the graph", ge=8, le=2000)
    hnsw_ef_search: int = option(100, "neighbours that a search looks at, at least", ge=8, le=10_000)
    build_threads: int = option(1, "threads that build graphs and train codes, in the background", ge=1, le=64)
    ivfpq_code_bytes: int = option(48, "bytes of a compressed vector, at most", ge=1, le=1024)
    ivfpq_probes: int = option(32, "lists that a search looks into", ge=1, le=65_536)
    ivfpq_training_chunks: int = option(
        10_000, "chunks that there must be before codes are trained; up to there search is exact", ge=256
    )
    keyword_index: bool = option(True, "index words too; false saves its disk space and refuses keyword and hybrid")
    title_boost: int = option(2, "so many times a word of a title or header counts as one of the text", ge=0, le=10)
    candidates: int = option(100, "hits that each leg brings to a fusion at least", ge=10, le=10_000)
    commit_interval_sec: float = option(
        0.1, "pause after an ingest in which more are gathered, before all are indexed together", ge=0, le=10
    )
    checkpoint_interval_sec: float = option(
        30.0, "seconds of changes, at most, that are indexed again after a crash", gt=0, le=3600
    )
    keyword_heap_bytes: int = option(
        32_000_000, "memory in which the keyword index gathers changes, for each collection that changes", ge=15_000_000
    )
    sqlite_cache_bytes: int = option(8 * 2**20, "page cache of each connection to the database", ge=2**16, le=2**34)
    search_threads: int = option(2, "threads that share an exact search of a large collection", ge=1, le=64)
    filter_cache: int = option(8, "filters whose chunks are remembered until a collection changes", ge=0, le=1000)
    reader_threads: int = option(2, "searches and other reads at the same time", ge=1, le=64)
