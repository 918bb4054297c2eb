"""Whose collections the service asks, and fills."""

from pathlib import Path

import pytest

from lmx_hookspecs.errors import NotFound
from lmx_hookspecs.queries import ContextRequest, RetrieveRequest
from retrieval_support import ids, lines, retrieving

pytest.importorskip("tokenizers")


@pytest.mark.parametrize("store", ["inline", "memory"])
async def test_a_collection_of_one_key_is_found_by_no_other(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with retrieving(tmp_path, monkeypatch, store=store) as kernel:
        service = kernel.retrieval
        await service.ingest(lines("a blue sea", key="alice", owner="alice"))

        asked = RetrieveRequest(query="blue sea", collections=["c"], key="bob")
        mine = await service.retrieve(RetrieveRequest(query="blue sea", collections=["c"], key="alice"))
        for call in (
            service.retrieve(asked),
            service.assemble(ContextRequest(retrieve=asked, max_tokens=50)),
            service.ingest(lines("of bob", key="bob")),
            service.ingest(lines("of nobody")),
        ):
            with pytest.raises(NotFound) as theirs:
                await call
            assert theirs.value.code == "collection_not_found"
        info = await service.store.collection("c")

    assert ids(mine.found) == ["d0"]
    assert (info.owner, info.documents) == ("alice", 1)


async def test_a_collection_without_an_owner_is_everybodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with retrieving(tmp_path, monkeypatch) as kernel:
        await kernel.retrieval.ingest(lines("a blue sea", key="alice"))

        found = await kernel.retrieval.retrieve(RetrieveRequest(query="blue sea", collections=["c"], key="bob"))

    assert ids(found.found) == ["d0"]
