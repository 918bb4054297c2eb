"""Nodes come, change and go while the server runs."""

import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from attrs import frozen

from helper_node import helper_node
from serving import Server, eventually, served

CHAT = "/v1/chat/completions"
ECHO = {"plugins": {"echo": {"enabled": True, "tokens_per_second": 10}}}
LONG = [{"role": "user", "content": "word " * 30}]
"""Echoed in three seconds."""
SPARE = 2
"""Of ten nodes: one connection that is just being closed."""


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    folder = tmp_path_factory.mktemp("nodes")
    with served(folder / "first", ECHO) as first, served(folder / "second", ECHO) as second:
        yield first, second


@frozen
class Front:
    """The server that asks the nodes."""

    server: Server
    client: httpx.Client
    folder: Path

    def write(self, **config: Any) -> Mapping[str, Any]:
        """The answer of a reload with that configuration."""
        (self.folder / "config.d" / "50-test.yaml").write_text(json.dumps(config))
        answer: Mapping[str, Any] = self.client.post("/admin/config/reload").json()
        return answer

    def chat(self, model: str) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
        return self.client.post(CHAT, json=body)

    def models(self) -> set[str]:
        return {model["id"] for model in self.client.get("/v1/models").json()["data"]}

    def backends(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.client.get("/admin/stack").json()["backends"]
        return found


@pytest.fixture
def front(tmp_path: Path, nodes: tuple[Server, Server]) -> Iterator[Front]:
    with served(tmp_path, {"backends": {"a": box(nodes[0])}}) as server, server.client() as client:
        yield Front(server, client, tmp_path)


def box(node: Server, **options: Any) -> Mapping[str, Any]:
    return {"url": node.url, "models": ["echo"], **options}


def test_a_node_that_is_removed_ends_what_it_has_begun_while_a_new_one_answers(
    front: Front, nodes: tuple[Server, Server]
) -> None:
    lines: list[str] = []

    def read() -> None:
        body = {"model": "a/echo", "messages": LONG, "stream": True}
        with httpx.stream("POST", front.server.url + CHAT, json=body, timeout=30) as answer:
            lines.extend(line for line in answer.iter_lines() if line)

    reader = threading.Thread(target=read)
    reader.start()
    eventually(lambda: len(lines) > 3, timeout_s=10)

    report = front.write(backends={"b": box(nodes[1])})
    gone, come, shown = front.chat("a/echo"), front.chat("b/echo"), front.backends()
    running = reader.is_alive()
    reader.join(30)
    front.server.wait_for("node_removed", node="a")
    eventually(lambda: "a/echo" not in front.models(), timeout_s=5)

    assert report["changed"] == ["backends.a", "backends.b"]
    assert report["needs_restart"] == []
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "model_not_found")
    assert (come.status_code, come.headers["x-lmx-served-by"]) == (200, "b/echo")
    assert list(shown) == ["b"]
    assert running
    assert lines[-1] == "data: [DONE]"
    assert sum('word"' in line for line in lines) == 30
    assert front.client.get("/admin/models/a/echo").status_code == 404


def test_a_node_that_moves_is_asked_at_its_new_address_and_the_others_keep_their_counts(
    front: Front, nodes: tuple[Server, Server]
) -> None:
    first, second = nodes
    front.write(backends={"a": box(first), "other": box(first)})
    for model in ("a/echo", "other/echo"):
        assert front.chat(model).status_code == 200

    front.write(backends={"a": box(second, capabilities=["stop"]), "other": box(first)})
    moved = front.chat("a/echo")
    shown = front.backends()

    assert moved.status_code == 200
    assert (shown["a"]["url"], shown["a"]["successes"]) == (second.url, 1)
    assert (shown["other"]["url"], shown["other"]["successes"]) == (first.url, 1)
    eventually(
        lambda: front.client.get("/admin/models/a/echo").json()["capabilities"] == ["chat", "completion", "stop"],
        timeout_s=5,
    )


def test_the_header_names_the_nodes_that_a_model_has_now(front: Front, nodes: tuple[Server, Server]) -> None:
    first, second = nodes
    front.write(backends={"a": box(first), "b": box(second)})
    both = front.chat("echo").headers["x-lmx-served-by"]

    front.write(backends={"b": box(second)})

    assert both == "a,b/echo"
    eventually(lambda: front.chat("echo").headers["x-lmx-served-by"] == "b/echo", timeout_s=5)


def test_a_helper_that_comes_is_asked_and_one_that_goes_is_not(front: Front) -> None:
    embed = {"model": "any", "input": "hello"}
    with helper_node() as helper:
        before = front.client.post("/v1/embeddings", json=embed)
        front.write(helper_nodes={"embedding": {"url": helper.url, "model": "nomic"}})
        with_it = front.client.post("/v1/embeddings", json=embed)
        report = front.write()
        after = front.client.post("/v1/embeddings", json=embed)

    assert [answer.status_code for answer in (before, with_it, after)] == [404, 200, 404]
    assert report["changed"] == ["helper_nodes.embedding"]


def test_a_node_that_cannot_be_is_refused_and_changes_nothing(front: Front, nodes: tuple[Server, Server]) -> None:
    refused = front.write(backends={"a b": box(nodes[1])})

    assert refused["error"]["code"] == "invalid_config"
    assert "cannot be part of a model's id" in refused["error"]["message"]
    assert list(front.backends()) == ["a"]
    assert front.chat("a/echo").status_code == 200


def test_nodes_that_come_and_go_leave_neither_tasks_nor_descriptors(front: Front, nodes: tuple[Server, Server]) -> None:
    process = psutil.Process(front.server.process.pid)

    def held() -> tuple[int, int]:
        lines = front.client.get("/metrics").text.splitlines()
        tasks = next(int(float(line.split()[1])) for line in lines if line.startswith("lmx_asyncio_tasks "))
        return tasks, process.num_fds()

    assert front.chat("a/echo").status_code == 200
    before = held()
    for number in range(10):
        name = f"node-{number}"
        front.write(backends={name: box(nodes[number % 2])})
        assert front.chat(f"{name}/echo").status_code == 200
    front.write(backends={"a": box(nodes[0])})
    assert front.chat("a/echo").status_code == 200

    eventually(lambda: all(now <= then + SPARE for now, then in zip(held(), before, strict=True)), timeout_s=10)
    assert front.models() & {f"node-{number}/echo" for number in range(10)} == set()
