"""Keys of plugin `vectorstores`."""

from attrs import frozen

from lmx_hookspecs import option

MIB = 2**20
GIB = 2**30


@frozen(kw_only=True)
class VectorStoresConfig:
    """What is kept in `$LMX_HOME/files` and `$LMX_HOME/vectorstores.db`."""

    max_file_bytes: int = option(
        512 * MIB, "largest file that is kept; server.max_upload_bytes bounds uploads as well", ge=1024
    )
    max_files: int = option(10_000, "files that are kept; the next upload is answered 507", ge=1, le=1_000_000)
    max_bytes: int = option(10 * GIB, "bytes of all files together; beyond them an upload is answered 507", ge=1024)
    max_vector_stores: int = option(1000, "vector stores that are kept; the next one is answered 507", ge=1, le=100_000)
    max_batches: int = option(
        1000, "file batches that are remembered of each vector store; the oldest that ended go first", ge=1, le=100_000
    )
    ingest_concurrency: int = option(2, "files that are read and embedded at once", ge=1, le=64)
    ingest_attempts: int = option(
        4, "times that a file is tried while the embedding model or the store cannot be had; then it has failed", ge=1
    )
    retry_after_s: float = option(
        2.0, "seconds before the second try of a file; each further one waits twice as long", ge=0, le=3600
    )
    sweep_s: float = option(
        3600.0, "seconds between two looks for what has expired, beside those at its time", gt=0, le=86_400
    )
