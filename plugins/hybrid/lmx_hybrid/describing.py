"""What the store says of itself."""

from collections.abc import Mapping, Sequence
from typing import Any

from lmx_hybrid.collection import Live
from lmx_hybrid.database import Database
from lmx_hybrid.following import Follower


def description(database: Database, live: Sequence[Live], follower: Follower) -> Mapping[str, Any]:
    """Plain facts: memory of the process, bytes on disk, and each collection with its indexes."""
    import psutil

    with database.reading() as connection:
        counts = {
            row[0]: row[1:] for row in connection.execute("SELECT id, documents, chunks, dimensions FROM collections")
        }
    return {
        "memory_bytes": psutil.Process().memory_info().rss,
        "database_bytes": sum(_size(database, suffix) for suffix in ("", "-wal")),
        "last_checkpoint": follower.checkpointed_at,
        "collections": {one.name: _of_collection(one, counts[one.id]) for one in live if one.id in counts},
    }


def _of_collection(live: Live, counts: Sequence[int]) -> Mapping[str, Any]:
    documents, chunks, dimensions = counts
    return {
        "documents": documents,
        "chunks": chunks,
        "dimensions": dimensions,
        "embedding_model": live.embedding_model,
        "pending": not live.followed,
        "legs": {name: leg.describe() for name, leg in live.legs.items()},
    }


def _size(database: Database, suffix: str) -> int:
    file = database.file.with_name(database.file.name + suffix)
    return file.stat().st_size if file.exists() else 0
