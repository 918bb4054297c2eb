from types import SimpleNamespace

import pytest

import lmx_hybrid
from lmx_hookspecs.testing import FakeContext, check_plugin, check_retriever
from lmx_hybrid.config import HybridConfig

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
