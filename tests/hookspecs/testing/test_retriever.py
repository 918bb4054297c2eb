from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve

from lmx_hookspecs import RetrieverSpec
from lmx_hookspecs.retrieval import SearchResult
from lmx_hookspecs.testing import FakeContext, check_retriever

pytest.importorskip("tantivy")

import lmx_hybrid
from lmx_hybrid.config import HybridConfig

(SOUND,) = lmx_hybrid.lmx_retrievers()


def broken(method: str, make: Callable[[Any], Any]) -> RetrieverSpec:
    """The sound store with another method."""

    class Broken:
        def __init__(self, store: Any) -> None:
            self.store = store

        def __getattr__(self, name: str) -> Any:
            return make(self.store) if name == method else getattr(self.store, name)

    return evolve(SOUND, open=lambda ctx, settings: Broken(SOUND.open(ctx, settings)))


def forgetting(_store: Any) -> Any:
    async def delete(collection: str, ids: Any) -> int:  # noqa: ARG001
        return 1

    return delete


def deaf(store: Any) -> Any:
    async def search(collection: str, search: Any) -> SearchResult:
        found: SearchResult = await store.search(collection, evolve(search, filter=None))
        return found

    return search


def generous(_store: Any) -> Any:
    async def hashes(collection: str, ids: Any) -> dict[str, str]:  # noqa: ARG001
        return dict.fromkeys(ids, "")

    return hashes


def test_a_sound_store_passes() -> None:
    check_retriever(SOUND, FakeContext(config=HybridConfig()))


@pytest.mark.parametrize(
    ("method", "make", "reason"),
    [
        ("delete", forgetting, "not refused|not count|still found"),
        ("search", deaf, "invalid_filter|filter"),
        ("hashes", generous, "hashes"),
    ],
)
def test_an_unsound_store_is_told_why(method: str, make: Callable[[Any], Any], reason: str) -> None:
    with pytest.raises(AssertionError, match=reason):
        check_retriever(broken(method, make), FakeContext(config=HybridConfig()))
