"""A server with its store and its document processes: they die, and nothing else does."""

import json
import os
import signal
import statistics
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from serving import Server, eventually, served

pytest.importorskip("tantivy")
pytest.importorskip("tokenizers")

CONFIG = {
    "rag": {"embedding_model": "lmx-tiny-embed"},
    "plugins": {"echo": {"enabled": True, "tokens_per_second": 60, "reply": "word " * 200}},
}
TEXT = " ".join(f"The sea is {word} today, and so is the sky over it." for word in ("blue", "grey", "calm") * 60)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("retrieval"), CONFIG) as server:
        yield server


def ingest(client: httpx.Client, *names: str, collection: str = "sea", text: str = TEXT) -> httpx.Response:
    body = {"collection": collection, "documents": [text] * len(names), "document_ids": names}
    return client.post("/v1/rag/ingest", json=body)


def store_of(client: httpx.Client) -> dict[str, Any]:
    facts: dict[str, Any] = client.get("/admin/stack").json()["retrieval"]["store"]
    return facts


def stored(client: httpx.Client, collection: str) -> set[str]:
    answer = client.get(f"/v1/rag/collections/{collection}/documents", params={"limit": 1000})
    answer.raise_for_status()
    return {one["id"] for one in answer.json()["documents"]}


def test_documents_are_found_again(server: Server) -> None:
    with server.client() as client:
        made = ingest(client, "one", text="The harbour lies behind the lighthouse.")
        found = client.post("/v1/rag/query", json={"collection": "sea", "query": "lighthouse", "top_k": 1})

    assert made.status_code == 200, made.text
    assert "harbour" in found.json()["results"][0]["text"]


def test_the_store_stands_in_the_ledger_and_in_the_stack(server: Server) -> None:
    with server.client() as client:
        ingest(client, "one")
        eventually(lambda: any(one["kind"] == "store" for one in holdings(client)), 30)
        holding = next(one for one in holdings(client) if one["kind"] == "store")
        facts = store_of(client)

    assert holding["measured_gb"] > 0.01, holding
    assert (facts["state"], facts["name"]) == ("ready", "hybrid")


def holdings(client: httpx.Client) -> list[dict[str, Any]]:
    report = client.get("/admin/memory").json()
    return next(value for value in report.values() if isinstance(value, list))


def test_a_store_that_is_killed_in_the_middle_of_an_ingest_keeps_what_it_acknowledged(server: Server) -> None:
    acknowledged: list[str] = []
    with server.client() as client:
        ingest(client, "first", collection="killed")
        pid = store_of(client)["pid"]
        killer = threading.Timer(0.3, lambda: os.kill(pid, signal.SIGKILL))
        killer.start()
        statuses = set()
        for number in range(200):
            answer = ingest(client, f"n{number}", collection="killed")
            statuses.add(answer.status_code)
            if answer.status_code == 200:
                acknowledged.append(f"n{number}")
            if not killer.is_alive() and len(acknowledged) >= number // 2 + 1 and number > 20:
                break
        killer.join()

        kept = stored(client, "killed")
        found = client.post("/v1/rag/query", json={"collection": "killed", "query": "calm sea"})
        deaths = store_of(client)["deaths"]

    assert set(acknowledged) <= kept
    assert statuses <= {200, 502}
    assert deaths == 1
    assert found.json()["results"]


def test_a_store_that_is_killed_between_two_queries_is_not_missed(server: Server) -> None:
    with server.client() as client:
        ingest(client, "one", collection="between")
        os.kill(store_of(client)["pid"], signal.SIGKILL)
        answer = client.post("/v1/rag/query", json={"collection": "between", "query": "calm sea"})

    assert answer.status_code == 200, answer.text
    assert answer.json()["results"]


def test_errors_of_the_store_have_their_status(server: Server) -> None:
    with server.client() as client:
        unknown = client.post("/v1/rag/query", json={"collection": "never", "query": "sea"})
        empty = ingest(client, "x", text=" ")

    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "collection_not_found")
    assert (empty.status_code, empty.json()["error"]["code"]) == (400, "empty_content")


def test_a_stream_keeps_its_pace_beside_a_large_ingest(server: Server) -> None:
    with server.client() as client:
        ingest(client, "warm", collection="pace")
        alone = statistics.median(gaps(client))

        ended = threading.Event()

        def feed() -> None:
            with server.client() as other:
                round_ = 0
                while not ended.is_set():
                    names = [f"{round_}-{number}" for number in range(20)]
                    assert ingest(other, *names, collection="pace").status_code == 200
                    round_ += 1

        feeding = threading.Thread(target=feed)
        feeding.start()
        try:
            beside = statistics.median(gaps(client))
        finally:
            ended.set()
            feeding.join()

    print(f"median gap between tokens: {alone * 1000:.1f} ms alone, {beside * 1000:.1f} ms beside an ingest")  # noqa: T201
    assert beside < 3 * alone + 0.01


def gaps(client: httpx.Client) -> list[float]:
    """Seconds between the chunks of one answer."""
    body = {"model": "echo", "messages": [{"role": "user", "content": "go"}], "stream": True}
    seen_s: list[float] = []
    with client.stream("POST", "/v1/chat/completions", json=body) as answer:
        pieces = (
            line for line in answer.iter_lines() if line.startswith("data: {") and json.loads(line[6:])["choices"]
        )
        seen_s.extend(time.perf_counter() for _ in pieces)
    return [after - before for before, after in pairwise(seen_s)]


def test_the_processes_end_with_the_server_however_it_ends(tmp_path: Path) -> None:
    with served(tmp_path, CONFIG) as server:
        with server.client() as client:
            ingest(client, "one")
            children = psutil.Process(server.process.pid).children()
        server.process.kill()
        eventually(lambda: not any(child.is_running() for child in children), 20)

    assert len(children) >= 2
