"""Collections of `/v1/rag` are everybody's; those of vector stores are their owner's."""

from typing import Any

import pytest

from http_support import Served, error_of
from lmx.config.schema import Security
from lmx_hookspecs.ingestion import IngestRequest, SourceDocument
from lmx_hookspecs.retrieval import CollectionSettings
from rag_support import COLLECTIONS, FakeRetrieval, ragging

ALICE, BOB = "a-key-of-alice-0123456789", "a-key-of-bob-0123456789abc"
KEYS = Security(api_keys=(ALICE, BOB))


async def shared_and_owned(server: Served, retrieval: FakeRetrieval) -> None:
    """A collection of everybody, and one of the key that made it."""
    await ask(server, ALICE, "POST", COLLECTIONS, json={"name": "shared"})
    asked = server.services.embedded[-1]
    settings = CollectionSettings(embedding_model="m", dimensions=2, owner=asked.key)
    await retrieval.store.create("vs_1", settings)
    await retrieval.ingest(IngestRequest(collection="vs_1", documents=[SourceDocument(id="d", text="secret")]))


async def ask(server: Served, key: str, method: str, path: str, **options: Any) -> Any:
    return await server.ask(method, path, headers={"Authorization": f"Bearer {key}"}, **options)


async def test_a_list_has_what_is_everybodys_and_the_keys_own() -> None:
    async with ragging(security=KEYS) as (server, retrieval):
        await shared_and_owned(server, retrieval)
        lists = [(await ask(server, key, "GET", COLLECTIONS)).json() for key in (ALICE, BOB)]

    assert [[one["name"] for one in told["collections"]] for told in lists] == [["shared", "vs_1"], ["shared"]]
    assert [told["total_documents"] for told in lists] == [1, 0]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("DELETE", ""),
        ("GET", "/export"),
        ("GET", "/documents"),
        ("GET", "/documents/d"),
        ("PATCH", "/documents/d"),
        ("DELETE", "/documents/d"),
    ],
)
async def test_a_collection_of_another_key_is_not_found(method: str, path: str) -> None:
    body: Any = {"metadata": {}} if method == "PATCH" else None
    async with ragging(security=KEYS) as (server, retrieval):
        await shared_and_owned(server, retrieval)
        theirs = await ask(server, BOB, method, f"{COLLECTIONS}/vs_1{path}", json=body)
        still = list(retrieval.store.kept["vs_1"])
        mine = await ask(server, ALICE, method, f"{COLLECTIONS}/vs_1{path}", json=body)

    assert (theirs.status_code, error_of(theirs)["code"]) == (404, "collection_not_found")
    assert still == ["d"]
    assert mine.status_code == 200
