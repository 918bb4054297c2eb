"""How much one ingest may hold: no more than one call of the store."""

from pathlib import Path

import pytest

from lmx.kernel import Kernel
from lmx_hookspecs import EmbeddingRequest, Embeddings
from lmx_hookspecs.errors import TooLarge
from retrieval_support import lines, retrieving, texts

pytest.importorskip("tokenizers")


async def test_an_ingest_beyond_what_a_call_may_hold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmx.workers.part_values.MOST_BYTES", 10_000)
    async with retrieving(tmp_path, monkeypatch, store="memory") as kernel:
        asked = watched(kernel)
        with pytest.raises(TooLarge, match="send less at a time"):
            await kernel.retrieval.ingest(texts("a" * 11_000))

    assert not asked, "nothing is embedded for it"


async def test_what_is_too_much_with_its_vectors_is_refused_after_the_first_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmx.workers.part_values.MOST_BYTES", 100_000)
    short = "\n".join("a" * 300)
    async with retrieving(
        tmp_path, monkeypatch, store="memory", embedding_model="lmx-tiny-embed", embedding_batch_size=10
    ) as kernel:
        first, again = watched(kernel), []
        with pytest.raises(TooLarge, match="send less at a time"):
            await kernel.retrieval.ingest(lines(short))
        await kernel.retrieval.ingest(lines("a"))
        again = watched(kernel)
        with pytest.raises(TooLarge, match="send less at a time"):
            await kernel.retrieval.ingest(lines(short))

    assert len(first[0].inputs) == 10
    assert len(first) == 2, "the length of vectors was seen, and no more of 30 batches"
    assert not again, "that of a collection is known before"


def watched(kernel: Kernel) -> list[EmbeddingRequest]:
    """What the service has embedded from now on."""
    asked: list[EmbeddingRequest] = []
    before = kernel.retrieval.embed

    async def embed(request: EmbeddingRequest) -> Embeddings:
        asked.append(request)
        return await before(request)

    kernel.retrieval.embed = embed
    return asked
