"""`kill -9` of the whole server in the middle of an ingest: what was acknowledged is there, and nothing half."""

import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from random import Random

import httpx
import psutil
import pytest

from serving import Server, served

pytest.importorskip("numpy")
pytest.importorskip("tantivy")

ROUNDS = int(os.environ.get("LMX_SLOW_COUNT", "30"))
SENTENCES = 12
"""Of a document: at the smallest size of a chunk, several chunks."""
CLIENTS = 2


def text_of(document_id: str, version: int) -> str:
    return " ".join(
        f"{document_id} in version {version} says, as its sentence number {number}, that nothing of it may be missing."
        for number in range(SENTENCES)
    )


class Client(threading.Thread):
    """Stores documents one after the other, and now and then replaces or deletes one, until the server is gone."""

    def __init__(self, url: str, name: str, seed: int) -> None:
        super().__init__(name=name, daemon=True)
        self.url = url
        self.random = Random(seed)
        self.acknowledged: dict[str, int | None] = {}
        """Document to version; None where its deletion was acknowledged."""
        self.in_flight: tuple[str, int | None] | None = None
        self.refused = ""
        """What the server said to a request that it should have carried out."""
        self.some_are_in = threading.Event()

    def run(self) -> None:
        with httpx.Client(base_url=self.url, timeout=60, trust_env=False) as client:
            for version in range(100_000):
                try:
                    self._change(client, version)
                except httpx.TransportError:
                    return
                except httpx.HTTPStatusError as error:
                    self.refused = error.response.text
                    self.some_are_in.set()
                    return
                if version > 5:
                    self.some_are_in.set()

    def _change(self, client: httpx.Client, version: int) -> None:
        old = [one for one, known in self.acknowledged.items() if known is not None]
        chance = self.random.random()
        if old and chance < 0.1:
            document_id = self.random.choice(old)
            self.in_flight = (document_id, None)
            client.delete(f"/v1/rag/collections/crash/documents/{document_id}").raise_for_status()
        else:
            document_id = self.random.choice(old) if old and chance < 0.3 else f"{self.name}-{version}"
            self.in_flight = (document_id, version)
            body = {
                "collection": "crash",
                "documents": [text_of(document_id, version)],
                "document_ids": [document_id],
                "chunk_size": 64,
                "chunk_overlap": 0,
            }
            client.post("/v1/rag/ingest", json=body).raise_for_status()
        self.acknowledged[document_id] = self.in_flight[1]
        self.in_flight = None


def kill_everything(server: Server) -> None:
    """The server and its workers, all at the same moment as far as there is one."""
    root = psutil.Process(server.process.pid)
    workers = root.children(recursive=True)
    for process in (root, *workers):
        process.send_signal(signal.SIGKILL)
    psutil.wait_procs(workers, timeout=20)
    server.process.wait(20)


def stored(client: httpx.Client) -> Mapping[str, str]:
    """The text of every document, joined of its chunks."""
    found: dict[str, str] = {}
    after: str | None = ""
    while after is not None:
        page = client.get("/v1/rag/collections/crash/documents", params={"after": after, "limit": 1000}).json()
        for document in page["documents"]:
            whole = client.get(f"/v1/rag/collections/crash/documents/{document['id']}").json()
            assert len(whole["chunks"]) == document["chunks"]
            found[document["id"]] = "".join(chunk["text"] for chunk in whole["chunks"])
        after = page["next"]
    return found


def expected(clients: list[Client]) -> Mapping[str, set[str | None]]:
    """What each document may be: as it was acknowledged, or as the request in flight would have made it."""
    allowed: dict[str, set[str | None]] = {}
    for client in clients:
        for document_id, version in client.acknowledged.items():
            allowed[document_id] = {None if version is None else text_of(document_id, version)}
        if client.in_flight:
            document_id, version = client.in_flight
            also = None if version is None else text_of(document_id, version)
            allowed.setdefault(document_id, {None}).add(also)
    return allowed


def check(client: httpx.Client, allowed: Mapping[str, set[str | None]]) -> Mapping[str, str]:
    """Everything acknowledged is there and found, and nothing else is; returns what is there."""
    found = stored(client)
    for document_id in allowed.keys() | found.keys():
        assert found.get(document_id) in allowed[document_id], document_id
    facts = client.get("/v1/rag/collections/crash").json()
    assert facts["document_count"] == len(found)
    for document_id in list(found)[-5:]:
        asked = {"collection": "crash", "query": found[document_id][:100], "search_mode": "keyword", "top_k": 50}
        hits = client.post("/v1/rag/query", json=asked).json()["results"]
        assert document_id in {hit["document_id"] for hit in hits}
    return found


@pytest.mark.slow
@pytest.mark.timeout(60 + 40 * ROUNDS)
def test_whatever_was_acknowledged_survives_a_kill_of_the_whole_server(tmp_path: Path) -> None:
    random = Random(7)
    carried: dict[str, set[str | None]] = {}
    for round_ in range(ROUNDS):
        with served(tmp_path) as server:
            with server.client(trust_env=False) as client:
                if carried:
                    for document_id, text in check(client, carried).items():
                        carried[document_id] = {text}
                    carried = {document_id: texts for document_id, texts in carried.items() if None not in texts}
            clients = [Client(server.url, f"{round_}-{number}", random.randrange(2**32)) for number in range(CLIENTS)]
            for one in clients:
                one.start()
            assert all(one.some_are_in.wait(60) for one in clients), server.log()
            assert [one.refused for one in clients] == [""] * CLIENTS
            threading.Event().wait(random.random() / 2)  # a moment of its own in each round
            kill_everything(server)
            for one in clients:
                one.join(60)
            carried.update(expected(clients))
    with served(tmp_path) as server, server.client(trust_env=False) as client:
        check(client, carried)
