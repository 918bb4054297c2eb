"""`kill -9` of the server between two steps of a request: the next one makes the second, or undoes the first."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from openai import APIConnectionError, OpenAI

from plugin_folder import PluginFolder
from serving import Server, eventually, served

pytest.importorskip("tantivy")
pytest.importorskip("tokenizers")

FRUIT = ("fruit.txt", b"Bananas are yellow when they are ripe, and apples are red or green.\n")
PATIENCE_S = 30.0
KILLER = """
    import os, signal

    from lmx_vectorstores.ledger import Ledger

    ask = Ledger.ask

    async def deadly(self, question, *args, **kwargs):
        when = os.environ["KILL"]
        if when == f"before {question.__name__}":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = await ask(self, question, *args, **kwargs)
        if when == f"after {question.__name__}":
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    Ledger.ask = deadly
"""
"""A plugin that kills the server before or after one question to the database."""


@pytest.fixture
def killer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "killer"
    folder.mkdir()
    PluginFolder(folder, monkeypatch).add("killer", KILLER)
    return folder


@contextmanager
def running(folder: Path, **environment: str) -> Iterator[tuple[Server, Any]]:
    """A server with this home, and a client of it."""
    config = {"models": {"auto_load": ["lmx-tiny-embed"]}}
    with (
        served(folder, config, environment=environment) as server,
        OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client,
    ):
        yield server, client


def killed(folder: Path, killer: Path, when: str, ask: Callable[[Any, str, str], Any]) -> tuple[str, str]:
    """A vector store and a file in it, whose server was killed in the middle of what `ask` asks."""
    with running(folder) as (_, client):
        store = client.vector_stores.create(name="kept")
        file = client.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=FRUIT)
    with running(folder, PYTHONPATH=str(killer), KILL=when) as (server, client):
        with pytest.raises(APIConnectionError):
            ask(client, store.id, file.id)
        assert server.process.wait(PATIENCE_S) == -9
    return store.id, file.id


def is_filled(client: Any, store_id: str) -> bool:
    return bool(client.vector_stores.retrieve(store_id).file_counts.completed == 1)


def collections_of(server: Server) -> set[str]:
    with server.client() as http:
        return {one["name"] for one in http.get("/v1/rag/collections").json()["collections"]}


def test_attributes_that_were_changed_are_those_that_filters_see(tmp_path: Path, killer: Path) -> None:
    def ask(client: Any, store_id: str, file_id: str) -> None:
        client.vector_stores.files.update(file_id, vector_store_id=store_id, attributes={"year": 2025})

    store_id, file_id = killed(tmp_path, killer, "after set_attributes", ask)

    with running(tmp_path) as (_, client):
        wanted = {"type": "eq", "key": "year", "value": 2025}
        shown = client.vector_stores.files.retrieve(file_id, vector_store_id=store_id)
        search = client.vector_stores.search
        eventually(lambda: bool(search(store_id, query="bananas", filters=wanted).data), PATIENCE_S)
    assert shown.attributes == {"year": 2025}


@pytest.mark.parametrize("when", ["before add_store", "after add_store"])
def test_a_store_has_a_collection_or_is_not_there(tmp_path: Path, killer: Path, when: str) -> None:
    def ask(client: Any, _: str, file_id: str) -> None:
        client.vector_stores.create(file_ids=[file_id])

    store_id, _ = killed(tmp_path, killer, when, ask)

    with running(tmp_path) as (server, client):
        stores = {store.id for store in client.vector_stores.list()}
        eventually(lambda: collections_of(server) == stores, PATIENCE_S)
        for made in stores - {store_id}:
            eventually(partial(is_filled, client, made), PATIENCE_S)
    assert len(stores) == (2 if when.startswith("after") else 1)


def test_a_file_that_was_taken_out_leaves_nothing(tmp_path: Path, killer: Path) -> None:
    def ask(client: Any, store_id: str, file_id: str) -> None:
        client.vector_stores.files.delete(file_id, vector_store_id=store_id)

    store_id, file_id = killed(tmp_path, killer, "after delete_member", ask)

    with running(tmp_path) as (server, _), server.client() as http:
        place = f"/v1/rag/collections/{store_id}/documents/{file_id}"
        eventually(lambda: http.get(place).status_code == 404, PATIENCE_S)


def test_a_deleted_store_leaves_nothing(tmp_path: Path, killer: Path) -> None:
    killed(tmp_path, killer, "after delete_store", lambda client, store_id, _: client.vector_stores.delete(store_id))

    with running(tmp_path) as (server, _):
        eventually(lambda: not collections_of(server), PATIENCE_S)


def test_a_file_that_is_added_again_is_taken_in(tmp_path: Path, killer: Path) -> None:
    def ask(client: Any, store_id: str, file_id: str) -> None:
        client.vector_stores.files.create(store_id, file_id=file_id, attributes={"again": True})

    store_id, file_id = killed(tmp_path, killer, "after add_members", ask)

    with running(tmp_path) as (_, client):
        added = client.vector_stores.files.poll(file_id, vector_store_id=store_id)
    assert (added.status, added.attributes) == ("completed", {"again": True})
