"""Whatever is added, replaced and deleted in whatever order: the store finds what a list of all would find."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import define, field
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmx_hookspecs.filters import matches, parse_filter
from lmx_hookspecs.retrieval import Chunk, Document, Search
from lmx_hybrid.store import HybridStore
from store_support import DIMENSIONS, NAME, SETTINGS, opened, random_vector

pytest.importorskip("tantivy")

NAMES = st.sampled_from(["a", "b", "c", "d", "e"])
WORDS = ["apple", "birds", "running", "東京", "検索", "éclair", "don't", "x1"]
TEXTS = st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join)
CHUNKS = st.tuples(TEXTS, st.integers(0, 400), st.sampled_from([{}, {"n": 1}, {"n": 2}]))
ACTIONS = st.one_of(
    st.tuples(st.just("put"), NAMES, st.lists(CHUNKS, max_size=40), st.sampled_from([{}, {"n": 1}, {"n": "1"}])),
    st.tuples(st.just("delete"), st.lists(NAMES, max_size=2)),
    st.tuples(st.just("metadata"), NAMES, st.sampled_from([{}, {"n": 1}, {"n": 3}])),
    st.tuples(st.just("reopen")),
    st.tuples(
        st.just("search"),
        st.integers(0, 400),
        st.sampled_from(WORDS),
        st.integers(1, 30),
        st.sampled_from(
            [
                None,
                {"type": "eq", "key": "n", "value": 1},
                {"type": "not", "filter": {"type": "in", "key": "n", "value": [1, 3]}},
            ]
        ),
    ),
)
GROUND: tuple[Any, ...] = ("put", "ground", [("kiwi", seed, {"n": 2}) for seed in range(500, 800)], {})
"""Enough for codes to be trained on."""
FINAL: list[tuple[Any, ...]] = [("search", 7, "apple", 500, None), ("search", 8, "検索", 500, None)]
CONFIGS: dict[str, dict[str, Any]] = {
    "flat": {"vector_index": "flat"},
    "numpy": {"vector_index": "numpy"},
    "hnsw": {"vector_index": "hnsw", "hnsw_ef_search": 500, "hnsw_m": 32},
    "ivfpq": {"vector_index": "ivfpq", "ivfpq_training_chunks": 256, "ivfpq_code_bytes": 4},
    "trained": {
        "vector_index": "ivfpq",
        "ivfpq_training_chunks": 256,
        "ivfpq_code_bytes": DIMENSIONS,
        "ivfpq_probes": 1000,
    },
    "auto": {"vector_index": "auto", "flat_limit": 20, "hnsw_ef_search": 500},
}


@define
class Model:
    """All documents in a dictionary, looked through one by one."""

    documents: dict[str, Document] = field(factory=dict)

    def chunks(self, filter: Any) -> list[tuple[str, Chunk]]:
        return [
            (document.id, chunk)
            for document in self.documents.values()
            for chunk in document.chunks
            if filter is None or matches(parse_filter(filter), {**document.metadata, **chunk.metadata})
        ]

    def cosines(self, embedding: bytes, filter: Any) -> dict[tuple[str, int], float]:
        query = unit(embedding)
        return {(name, chunk.index): float(unit(chunk.embedding) @ query) for name, chunk in self.chunks(filter)}

    def holding(self, word: str, filter: Any) -> set[tuple[str, int]]:
        return {(name, chunk.index) for name, chunk in self.chunks(filter) if word in chunk.text.split()}


def unit(embedding: bytes) -> Any:
    numbers = np.frombuffer(embedding, "<f4").astype(np.float64)
    return numbers / np.linalg.norm(numbers)


async def act(store: HybridStore, model: Model, action: tuple[Any, ...]) -> None:
    match action:
        case ("put", name, chunks, metadata):
            document = Document(
                id=name,
                metadata=metadata,
                chunks=[
                    Chunk(index=index, text=text, embedding=random_vector(seed), metadata=own)
                    for index, (text, seed, own) in enumerate(chunks)
                ],
            )
            await store.ingest(NAME, SETTINGS, [document])
            model.documents[name] = document
        case ("delete", names):
            expected = len({name for name in names if name in model.documents})
            assert await store.delete(NAME, names) == expected
            for name in names:
                model.documents.pop(name, None)
        case ("metadata", name, metadata) if name in model.documents:
            await store.update_metadata(NAME, name, metadata)
            old = model.documents[name]
            model.documents[name] = Document(id=name, metadata=metadata, chunks=old.chunks)
        case ("settle",):
            await store.follower._settle(store.live[NAME])
            assert store.live[NAME].vector.index.name == "ivfpq"
        case ("search", seed, word, top_k, filter):
            await compare(store, model, random_vector(seed), word, top_k, filter)


async def compare(store: HybridStore, model: Model, embedding: bytes, word: str, top_k: int, filter: Any) -> None:  # noqa: PLR0917
    cosines = model.cosines(embedding, filter)
    by_vector = await store.search(NAME, Search(embedding=embedding, mode="vector", top_k=top_k, filter=filter))
    scores = [hit.score for hit in by_vector.hits]
    best = sorted(cosines.values(), reverse=True)[:top_k]
    assert scores == pytest.approx(best, abs=1e-5)
    for hit in by_vector.hits:
        assert hit.score == pytest.approx(cosines[hit.document_id, hit.chunk.index], abs=1e-5)
    holding = model.holding(word, filter)
    by_word = await store.search(NAME, Search(text=word, mode="keyword", top_k=top_k, filter=filter))
    found = {(hit.document_id, hit.chunk.index) for hit in by_word.hits}
    assert found <= holding
    assert len(found) == len(by_word.hits) == min(top_k, len(holding))
    both = await store.search(NAME, Search(text=word, embedding=embedding, top_k=top_k, filter=filter))
    assert len(both.hits) == min(top_k, len(cosines))
    assert both.total_in_collection == sum(len(document.chunks) for document in model.documents.values())


async def run(kind: str, actions: list[tuple[Any, ...]]) -> None:
    model = Model()
    with tempfile.TemporaryDirectory(prefix="lmx-store-model-") as folder:
        ground = [GROUND, ("settle",)] if kind == "trained" else []
        pending = [*ground, *actions, ("reopen",), *FINAL]
        while pending:
            async with opened(Path(folder), durable=False, **CONFIGS[kind]) as store:
                if NAME not in store.live:
                    await store.create(NAME, SETTINGS)
                while pending and (action := pending.pop(0)) != ("reopen",):
                    await act(store, model, action)


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_store_finds_what_a_list_of_all_would_find(kind: str) -> None:
    pytest.importorskip({"hnsw": "hnswlib", "numpy": "numpy"}.get(kind, "faiss"))

    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(st.lists(ACTIONS, max_size=15))
    def check(actions: list[tuple[Any, ...]]) -> None:
        asyncio.run(run(kind, actions))

    check()
