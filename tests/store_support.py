"""Stores in a folder, and documents to put into them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np

from lmx_hookspecs import StoreSettings
from lmx_hookspecs.retrieval import Chunk, CollectionSettings, Document, SearchResult
from lmx_hookspecs.testing import FakeContext
from lmx_hybrid.config import HybridConfig
from lmx_hybrid.opening import open_store
from lmx_hybrid.store import HybridStore

NAME = "notes"
DIMENSIONS = 8
SETTINGS = CollectionSettings(embedding_model="made-up", dimensions=DIMENSIONS)


@asynccontextmanager
async def opened(
    directory: Path, *, durable: bool = True, context: FakeContext | None = None, **config: Any
) -> AsyncIterator[HybridStore]:
    """A store that is closed at the end."""
    ctx = context or FakeContext()
    ctx.config = HybridConfig(**{"commit_interval_sec": 0.0, **config})
    store = open_store(ctx, StoreSettings(directory=directory, durable=durable))
    try:
        yield store
    finally:
        await store.close()


def vector(*numbers: float) -> bytes:
    """These, and zeros behind them."""
    return np.array([*numbers, *[0.0] * (DIMENSIONS - len(numbers))], "<f4").tobytes()


def random_vector(seed: int, dimensions: int = DIMENSIONS) -> bytes:
    """The same for the same seed."""
    return np.random.default_rng(seed).standard_normal(dimensions).astype("<f4").tobytes()


def document(name: str, *texts: str, seed: int = 0, **more: Any) -> Document:
    """With a chunk for each text."""
    chunks = [Chunk(index=index, text=text, embedding=random_vector(seed + index)) for index, text in enumerate(texts)]
    return Document(id=name, chunks=chunks, **more)


def places(result: SearchResult) -> Sequence[tuple[str, int]]:
    """Which chunks were found."""
    return [(hit.document_id, hit.chunk.index) for hit in result.hits]
