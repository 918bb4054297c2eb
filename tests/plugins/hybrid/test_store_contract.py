from pathlib import Path
from types import SimpleNamespace

import pytest

import lmx_hybrid
from lmx_hookspecs.testing import FakeContext, check_plugin, check_retriever
from lmx_hybrid.config import HybridConfig
from store_support import NAME, SETTINGS, document, opened

pytest.importorskip("tantivy")


def test_the_plugin_keeps_the_contract() -> None:
    check_plugin(lmx_hybrid)


@pytest.mark.parametrize("kind", ["auto", "flat", "numpy", "hnsw", "ivfpq"])
def test_the_store_keeps_the_contract_with_each_vector_index(kind: str) -> None:
    pytest.importorskip({"hnsw": "hnswlib", "numpy": "numpy"}.get(kind, "faiss"))
    (spec,) = lmx_hybrid.lmx_retrievers()

    check_retriever(spec, FakeContext(config=HybridConfig(vector_index=kind)))


def test_the_store_runs_without_faiss_and_hnswlib(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("lmx_hybrid.opening", "lmx_hybrid.compact"):
        monkeypatch.setattr(
            f"{module}.find_spec", lambda name: None if name in ("faiss", "hnswlib") else SimpleNamespace()
        )
    (spec,) = lmx_hybrid.lmx_retrievers()

    check_retriever(spec, FakeContext(config=HybridConfig(flat_limit=1)))


async def test_metadata_that_change_take_the_content_hash_with_them(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.ingest(NAME, SETTINGS, [document("d", "one", metadata={"v": 1}, content_hash="1")])

        same = await store.update_metadata(NAME, "d", {"v": 1})
        other = await store.update_metadata(NAME, "d", {"v": 2})

    assert (same.content_hash, other.content_hash) == ("1", "")
