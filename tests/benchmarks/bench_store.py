"""What the store takes at a size: python tests/benchmarks/bench_store.py [--chunks 100000] [--kinds flat,hnsw,ivfpq].

For each kind of vector index a process of its own fills a store with made-up chunks, and another one opens it and is
measured: what one chunk more takes, and how long queries take. Texts are drawn from 20,000 words by Zipf's law,
vectors from 1,000 clusters, as embeddings lie.
"""

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from lmx_hookspecs import StoreSettings
from lmx_hookspecs.retrieval import Chunk, CollectionSettings, Document, Retriever, Search, SearchMode
from lmx_hookspecs.testing import FakeContext
from lmx_hybrid.config import HybridConfig
from lmx_hybrid.opening import open_store

DIMENSIONS = 384
WORDS = [f"{first}{second}{third}" for first in "bdfgklmn" for second in "aeiou" for third in range(500)]
WORDS_PER_CHUNK = 120
CLUSTERS = 1000
DOCUMENT_CHUNKS = 100
QUERIES = 100
ADDED = 30
NAME = "bench"
SETTINGS = CollectionSettings(embedding_model="made-up", dimensions=DIMENSIONS)


class Data:
    """Made-up chunks and queries, the same each time."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.centres = np.random.default_rng(0).standard_normal((CLUSTERS, DIMENSIONS), dtype=np.float32)

    def vector(self) -> bytes:
        noise = self.random.standard_normal(DIMENSIONS, dtype=np.float32)
        data: bytes = (self.centres[self.random.integers(CLUSTERS)] + noise).astype("<f4").tobytes()
        return data

    def text(self, words: int) -> str:
        numbers = np.minimum(self.random.zipf(1.2, words), len(WORDS)) - 1
        return " ".join(WORDS[number] for number in numbers)

    def document(self, name: str, chunks: int) -> Document:
        return Document(
            id=name,
            title=self.text(4),
            metadata={"year": int(self.random.integers(2000, 2025))},
            chunks=[
                Chunk(index=index, text=self.text(WORDS_PER_CHUNK), embedding=self.vector()) for index in range(chunks)
            ],
        )

    def query(self) -> str:
        return " ".join(WORDS[number] for number in self.random.integers(20, len(WORDS), 5))


def opened(directory: Path, kind: str) -> Retriever:
    config = HybridConfig(vector_index=kind, checkpoint_interval_sec=5.0, build_threads=2)
    return open_store(FakeContext(config=config), StoreSettings(directory=directory))


async def fill(directory: Path, kind: str, chunks: int) -> dict[str, float]:
    store, data = opened(directory, kind), Data(1)
    start = time.perf_counter()
    for number in range(chunks // DOCUMENT_CHUNKS):
        await store.ingest(NAME, SETTINGS, [data.document(f"d{number}", DOCUMENT_CHUNKS)])
    stored = time.perf_counter() - start
    await store.search(NAME, Search(text="x", embedding=data.vector()))
    found = time.perf_counter() - start
    while (await store.describe())["collections"][NAME]["legs"]["vector"].get("pending"):  # noqa: ASYNC110  no event
        await asyncio.sleep(0.5)
    built = time.perf_counter() - start
    await store.close()
    return {"stored_s": stored, "searchable_s": found, "built_s": built, "peak_mb": peak_mb()}


async def serve(directory: Path, kind: str) -> dict[str, float]:
    data = Data(2)
    start = time.perf_counter()
    store = opened(directory, kind)
    measured = {"open_ms": 1e3 * (time.perf_counter() - start)}
    await store.search(NAME, Search(text=data.query(), embedding=data.vector()))
    measured["start_s"] = time.perf_counter() - start
    for mode in ("vector", "keyword", "hybrid"):
        measured[f"{mode}_ms"] = await queries(store, data, mode)
    measured["filtered_ms"] = await queries(store, data, "hybrid", {"type": "eq", "key": "year", "value": 2001})
    measured["wide_filter_ms"] = await queries(store, data, "hybrid", {"type": "ne", "key": "year", "value": 2001})
    measured.update(await additions(store, data))
    measured["peak_mb"] = peak_mb()  # the exact search that recall is compared with takes memory of its own
    measured["recall@10"] = await recall(store, data)
    await store.close()
    return measured


async def queries(store: Retriever, data: Data, mode: SearchMode, filter: dict[str, Any] | None = None) -> float:
    async def one() -> None:
        await store.search(NAME, Search(text=data.query(), embedding=data.vector(), mode=mode, filter=filter))

    return await median_ms(one, QUERIES)


async def additions(store: Retriever, data: Data) -> dict[str, float]:
    """One chunk more: until it is acknowledged, and until a search that waits for it has found it."""
    acknowledged, searchable, replaced = [], [], []
    for number in range(ADDED):
        document = data.document(f"new{number}", 1)
        start = time.perf_counter()
        await store.ingest(NAME, SETTINGS, [document])
        acknowledged.append(time.perf_counter() - start)
        found = await store.search(NAME, Search(embedding=document.chunks[0].embedding, text=document.chunks[0].text))
        searchable.append(time.perf_counter() - start)
        assert found.hits[0].document_id == document.id
        start = time.perf_counter()
        await store.ingest(NAME, SETTINGS, [data.document("new0", 1)])
        replaced.append(time.perf_counter() - start)
    return {
        "ack_ms": 1e3 * median(acknowledged),
        "ack_p95_ms": 1e3 * sorted(acknowledged)[int(0.95 * ADDED)],
        "replace_ms": 1e3 * median(replaced),
        "searchable_ms": 1e3 * median(searchable),
        "searchable_p95_ms": 1e3 * sorted(searchable)[int(0.95 * ADDED)],
    }


async def recall(store: Retriever, data: Data) -> float:
    """Against an exact search: a filter that lets all pass but is compared one by one."""
    vectors = [data.vector() for _ in range(20)]
    shares = []
    for vector in vectors:
        near = await store.search(NAME, Search(embedding=vector, mode="vector", top_k=10))
        exact = await exact_ids(store, vector)
        shares.append(len({(h.document_id, h.chunk.index) for h in near.hits} & exact) / max(1, len(exact)))
    return sum(shares) / len(shares)


async def exact_ids(store: Any, vector: bytes) -> set[tuple[str, int]]:
    query = np.frombuffer(vector, "<f4")
    query = query / np.linalg.norm(query)
    scores: list[tuple[float, str, int]] = []
    rows = store.database.connection().execute(
        "SELECT d.name, c.place, v.embedding FROM chunks c JOIN documents d ON d.id = c.document"
        " JOIN vectors v ON v.id = c.id"
    )
    while batch := rows.fetchmany(2000):
        found = np.frombuffer(b"".join(row[2] for row in batch), "<f4").reshape(len(batch), -1)
        cosines = found @ query / np.linalg.norm(found, axis=1)
        scores = sorted([*scores, *((float(s), r[0], r[1]) for s, r in zip(cosines, batch, strict=True))])[-10:]
    return {(name, place) for _, name, place in scores}


async def median_ms(call: Callable[[], Awaitable[None]], times: int) -> float:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        await call()
        taken.append(time.perf_counter() - start)
    return 1e3 * median(taken)


def peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def measured_apart(phase: str, directory: Path, kind: str, chunks: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--phase", phase, "--directory", str(directory)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    output = subprocess.run(
        [*command, "--kinds", kind, "--chunks", str(chunks)], env=environment, check=True, stdout=subprocess.PIPE
    ).stdout
    result: dict[str, float] = json.loads(output)
    return result


def compare(kinds: Sequence[str], chunks: int) -> None:
    print(f"{chunks:,} chunks x {DIMENSIONS}: the vectors are {chunks * DIMENSIONS * 4 / 2**20:.0f} MB")
    for kind in kinds:
        with tempfile.TemporaryDirectory(prefix="lmx-bench-store-") as folder:
            filled = measured_apart("fill", Path(folder), kind, chunks)
            served = measured_apart("serve", Path(folder), kind, chunks)
            print(f"\n{kind}")
            for phase, facts in (("filling", filled), ("serving", served)):
                for name, value in facts.items():
                    print(f"  {phase:8} {name:18} {value:10.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--kinds", default="flat,hnsw,ivfpq,numpy")
    parser.add_argument("--phase", choices=("fill", "serve"), help=argparse.SUPPRESS)
    parser.add_argument("--directory", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.phase is None:
        compare(arguments.kinds.split(","), arguments.chunks)
        return
    phase = fill if arguments.phase == "fill" else serve
    more = (arguments.chunks,) if arguments.phase == "fill" else ()
    print(json.dumps(asyncio.run(phase(arguments.directory, arguments.kinds, *more))))


if __name__ == "__main__":
    main()
