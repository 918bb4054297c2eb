"""Files and vector stores belong to the API key that made them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from openai import AsyncOpenAI

from http_support import error_of
from lmx.config.schema import Security
from vector_store_support import GUIDE, Keeping, keeping, until_ready

ALICE, BOB = "a-key-of-alice-0123456789", "a-key-of-bob-0123456789abc"
STORE, FILE = "/v1/vector_stores/{store}", "/v1/files/{file}"


@asynccontextmanager
async def of_alice() -> AsyncIterator[tuple[Keeping, str, str]]:
    """A server of two keys, with a vector store and a file of one of them."""
    async with keeping(security=Security(api_keys=(ALICE, BOB))) as kept:
        kept.client = client(kept, ALICE)
        file = await kept.client.files.create(file=GUIDE, purpose="assistants")
        store = await kept.client.vector_stores.create(name="mine", file_ids=[file.id])
        await until_ready(kept, store.id)
        yield kept, store.id, file.id


def client(kept: Keeping, key: str) -> AsyncOpenAI:
    return kept.client.with_options(api_key=key)


async def ask(kept: Keeping, key: str, method: str, path: str, **options: Any) -> Any:
    return await kept.server.ask(method, path, headers={"Authorization": f"Bearer {key}"}, **options)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", FILE, None),
        ("GET", f"{FILE}/content", None),
        ("DELETE", FILE, None),
        ("GET", STORE, None),
        ("POST", STORE, {"name": "taken"}),
        ("DELETE", STORE, None),
        ("POST", f"{STORE}/search", {"query": "port"}),
        ("GET", f"{STORE}/files", None),
        ("POST", f"{STORE}/files", {"file_id": "{file}"}),
        ("GET", f"{STORE}/files/{{file}}", None),
        ("POST", f"{STORE}/files/{{file}}", {"attributes": {}}),
        ("GET", f"{STORE}/files/{{file}}/content", None),
        ("DELETE", f"{STORE}/files/{{file}}", None),
        ("POST", f"{STORE}/file_batches", {"file_ids": ["{file}"]}),
        ("GET", f"{STORE}/file_batches/vsfb_x", None),
        ("POST", f"{STORE}/file_batches/vsfb_x/cancel", {}),
        ("GET", f"{STORE}/file_batches/vsfb_x/files", None),
    ],
)
async def test_what_is_of_another_key_is_not_found_and_stays_as_it_is(method: str, path: str, body: Any) -> None:
    async with of_alice() as (kept, store_id, file_id):
        place = path.format(store=store_id, file=file_id)
        theirs = await ask(kept, BOB, method, place, json=body)
        nothing = await ask(kept, BOB, method, path.format(store="vs_x", file="file-x"), json=body)
        mine = await kept.client.vector_stores.retrieve(store_id)
        file = await kept.client.files.retrieve(file_id)

    told = error_of(theirs)["message"].replace(store_id, "vs_x").replace(file_id, "file-x")
    assert (theirs.status_code, told) == (404, error_of(nothing)["message"]), "as if it were not there"
    assert (mine.name, mine.file_counts.completed, file.filename) == ("mine", 1, GUIDE[0])


async def test_lists_have_only_what_is_of_the_key() -> None:
    async with of_alice() as (kept, store_id, file_id):
        bob = client(kept, BOB)
        mine = (await bob.vector_stores.create(name="bob's")).id
        stores = [[one.id async for one in of.vector_stores.list()] for of in (kept.client, bob)]
        files = [[one.id async for one in of.files.list()] for of in (kept.client, bob)]
        cursor = await ask(kept, BOB, "GET", f"/v1/vector_stores?after={store_id}")

    assert stores == [[store_id], [mine]]
    assert files == [[file_id], []]
    assert (cursor.status_code, error_of(cursor)["param"]) == (400, "after")


@pytest.mark.parametrize("way", ["", "/{store}/files", "/{store}/file_batches"])
async def test_a_file_of_another_key_cannot_be_taken_into_a_store(way: str) -> None:
    async with of_alice() as (kept, _, file_id):
        store = await client(kept, BOB).vector_stores.create()
        body = {"file_id": file_id} if way.endswith("/files") else {"file_ids": [file_id]}
        answer = await ask(kept, BOB, "POST", f"/v1/vector_stores{way}".format(store=store.id), json=body)

    assert (answer.status_code, error_of(answer)["param"]) == (404, "file_id")


async def test_the_collection_of_a_store_has_the_owner_of_the_store() -> None:
    async with of_alice() as (kept, store_id, _):
        settings, (request,) = kept.retrieval.store.settings[store_id], kept.retrieval.ingests

    assert settings.owner
    assert (request.key, request.owner) == (settings.owner, settings.owner)


async def test_what_was_made_without_a_key_is_of_no_key() -> None:
    async with keeping() as kept:
        file = await kept.client.files.create(file=GUIDE, purpose="assistants")
    async with keeping(security=Security(api_keys=(ALICE,))) as kept:
        answer = await ask(kept, ALICE, "GET", f"/v1/files/{file.id}")

    assert answer.status_code == 404
