"""Nodes of a real server: another real server over loopback, and one that misbehaves."""

import json
import socket
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from helper_node import Helper, helper_node
from serving import Server, eventually, served

QUICK = {"remote": {"health_interval_s": 0.2}}
NO_EMBEDDER = {"tiny": {"enabled": False}}
CHAT = {"messages": [{"role": "user", "content": "one two three"}]}
VECTORS = ["embedding", "rerank"]
SLOW = {"echo": {"enabled": True, "tokens_per_second": 5}}


@pytest.fixture
def helper() -> Iterator[Helper]:
    with helper_node() as made:
        yield made


until = partial(eventually, timeout_s=10.0)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    """A node with the scripted engines, and a server that asks it."""
    folder = tmp_path_factory.mktemp("pair")
    with served(folder / "node", {"plugins": SLOW}) as node:
        backends = {"box": {"url": node.url, "models": ["echo"]}, "twin": {"url": f"{node.url}/v1"}}
        with served(folder / "front", {"backends": backends, "plugins": QUICK}) as front:
            yield node, front


def in_flight(server: Server) -> int:
    with server.client() as client:
        return int(client.get("/admin/health").json()["in_flight_requests"])


def test_a_chat_is_answered_by_the_node_that_its_model_names(pair: tuple[Server, Server]) -> None:
    _, front = pair

    with front.client() as client:
        answer = client.post("/v1/chat/completions", json={"model": "box/echo", **CHAT})

    assert answer.json()["choices"][0]["message"]["content"] == "one two three"
    assert answer.json()["usage"]["completion_tokens"] == 3
    assert (answer.json()["model"], answer.headers["x-lmx-served-by"]) == ("box/echo", "box/echo")


def test_a_stream_comes_piece_by_piece_and_ends_like_any_other(pair: tuple[Server, Server]) -> None:
    _, front = pair
    asked = {"model": "echo", "stream": True, "stream_options": {"include_usage": True}, **CHAT}

    with front.client() as client, client.stream("POST", "/v1/chat/completions", json=asked) as answer:
        lines = [line.removeprefix("data: ") for line in answer.iter_lines() if line.startswith("data: ")]

    chunks = [json.loads(line) for line in lines[:-1]]
    texts = [choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"]]
    assert "".join(texts) == "one two three"
    assert len([text for text in texts if text]) == 3
    assert chunks[-1]["usage"]["total_tokens"] == 6
    assert lines[-1] == "[DONE]"


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_frees_the_node_too(pair: tuple[Server, Server], *, stream: bool) -> None:
    node, front = pair
    body = {"model": "box/echo", "stream": stream, "messages": [{"role": "user", "content": "word " * 200}]}
    raw, url = json.dumps(body).encode(), httpx.URL(front.url)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {url.host}:{url.port}\r\nContent-Length: {len(raw)}\r\n\r\n"

    with socket.create_connection((url.host, url.port or 0)) as connection:
        connection.sendall(head.encode() + raw)
        until(lambda: in_flight(node) == 1)

    until(lambda: in_flight(node) == 0)
    until(lambda: in_flight(front) == 0)


def test_what_the_node_refuses_is_refused_in_its_words(pair: tuple[Server, Server]) -> None:
    _, front = pair

    with front.client() as client:
        answer = client.post("/v1/chat/completions", json={"model": "box/echo", "max_tokens": 10**6, **CHAT})
        unable = client.post("/v1/chat/completions", json={"model": "twin/echo", "logit_bias": {"1": 5}, **CHAT})

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "max_tokens")
    assert "node 'box' refuses the request" in answer.json()["error"]["message"]
    assert (unable.status_code, unable.json()["error"]["code"]) == (400, "unsupported_parameter")


def test_models_of_nodes_are_listed_with_what_they_can_do(pair: tuple[Server, Server]) -> None:
    _, front = pair

    with front.client() as client:
        until(lambda: "twin/echo-tokens" in {model["id"] for model in client.get("/v1/models").json()["data"]})
        models = {model["id"]: model["lmx"] for model in client.get("/v1/models").json()["data"]}

    assert {"box/echo", "echo", "twin/echo", "twin/lmx-tiny", "lmx-tiny"} <= models.keys()
    assert "embed" not in models["box/echo"]["capabilities"]
    assert models["lmx-tiny"]["format"] == "safetensors"


def test_a_remote_model_is_listed_with_its_node_instead_of_a_size(pair: tuple[Server, Server]) -> None:
    _, front = pair

    with front.client() as client:
        until(lambda: client.get("/admin/models/twin/echo-process").json()["details"]["healthy"])
        told = {model["id"]: model["lmx"] for model in client.get("/v1/models").json()["data"]}["twin/echo-process"]
        known = client.get("/admin/models/twin/echo-process").json()

    assert (told["state"], told["size_bytes"], told["node"]) == ("remote", None, {"name": "twin", "healthy": True})
    assert (known["state"], known["size_bytes"], known["source"]) == ("remote", None, "remote")


def test_a_remote_model_takes_no_memory_here(pair: tuple[Server, Server]) -> None:
    _, front = pair

    with front.client() as client:
        client.post("/v1/chat/completions", json={"model": "box/echo", **CHAT})
        models = client.get("/admin/memory").json()["models"]

    assert models["box/echo"]["memory_gb"] == 0


def test_two_nodes_with_one_model_share_its_work(tmp_path: Path) -> None:
    config = {"plugins": SLOW}
    with served(tmp_path / "a", config) as first, served(tmp_path / "b", config) as second:
        backends = {name: {"url": node.url, "models": ["echo"]} for name, node in (("a", first), ("b", second))}
        with served(tmp_path / "front", {"backends": backends}) as front, front.client() as client:
            answers: list[Any] = []

            def ask() -> None:
                answers.append(client.post("/v1/chat/completions", json={"model": "echo", **CHAT}))

            threads = [threading.Thread(target=ask) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(30)
            first.stop()
            last = client.post("/v1/chat/completions", json={"model": "echo", **CHAT})
            backends_now = client.get("/admin/stack").json()["backends"]

    assert [answer.status_code for answer in (*answers, last)] == [200] * 5
    assert {name: node["successes"] for name, node in backends_now.items()} == {"a": 2, "b": 3}


def test_helper_nodes_embed_and_rerank_for_everybody(tmp_path: Path, helper: Helper) -> None:
    nodes = {"embedding": {"url": helper.url, "model": "nomic"}, "reranking": {"url": helper.url, "model": "bge"}}
    with served(tmp_path, {"helper_nodes": nodes}) as front, front.client() as client:
        embedded = client.post("/v1/embeddings", json={"model": "text-embedding-3-small", "input": "hello"})
        ranked = client.post("/v1/rerank", json={"model": "any", "query": "q", "documents": ["a", "b"], "top_n": 1})
        helpers = client.get("/admin/helpers").json()

    assert embedded.json()["data"][0]["embedding"] == [0.5, -1.0]
    assert (embedded.json()["model"], embedded.headers["x-lmx-served-by"]) == ("nomic", "embedding/nomic")
    assert ranked.json()["results"] == [{"index": 1, "relevance_score": 0.9, "document": {"text": "b"}}]
    assert helpers["live_checks"] == {"embedding": True, "reranking": True}
    assert helpers["all_healthy"]
    assert helpers["helpers"]["embedding"]["successes"] == 1
    assert helpers["helpers"]["embedding"]["circuit_state"] == "closed"


@pytest.mark.parametrize(
    ("fallback", "status", "code"),
    [("skip", 502, "helper_node_unavailable"), ("local", 503, "embedding_unavailable")],
)
def test_a_helper_that_fails_is_left_alone_after_three_times(
    tmp_path: Path, helper: Helper, fallback: str, status: int, code: str
) -> None:
    helper.status, helper.answers["/v1/embeddings"] = 500, {"error": {"message": "boom"}}
    nodes = {"embedding": {"url": helper.url, "model": "nomic", "fallback": fallback}}
    plugins = {**QUICK, **NO_EMBEDDER}
    with served(tmp_path, {"helper_nodes": nodes, "plugins": plugins}) as front, front.client() as client:
        answers = [client.post("/v1/embeddings", json={"model": "m", "input": "a"}) for _ in range(4)]
        until(lambda: client.get("/admin/helpers").json()["live_checks"]["embedding"])
        helpers = client.get("/admin/helpers").json()["helpers"]["embedding"]

    assert [answer.status_code for answer in answers] == [status] * 4
    assert {answer.json()["error"]["code"] for answer in answers} == {code}
    assert len(helper.asked) == 3
    assert helpers["circuit_state"] == "open"  # it answers when it is looked at, which closes nothing
    assert (helpers["failures"], helpers["last_error"]) == (3, "node 'embedding' answered 500: boom")


def test_an_odd_ranking_is_the_nodes_fault(tmp_path: Path, helper: Helper) -> None:
    helper.answers["/v1/rerank"] = {"results": [{"index": 7, "relevance_score": 1.0}]}
    nodes = {"reranking": {"url": helper.url, "model": "bge", "fallback": "skip"}}
    with served(tmp_path, {"helper_nodes": nodes}) as front, front.client() as client:
        answer = client.post("/v1/rerank", json={"model": "m", "query": "q", "documents": ["a"]})

    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "helper_node_unavailable")


def test_without_nodes_nobody_embeds_or_reranks(tmp_path: Path) -> None:
    with served(tmp_path, {"plugins": NO_EMBEDDER}) as front, front.client() as client:
        embedded = client.post("/v1/embeddings", json={"model": "m", "input": "a"})
        ranked = client.post("/v1/rerank", json={"model": "m", "query": "q", "documents": ["a"]})

    assert (embedded.status_code, embedded.json()["error"]["code"]) == (503, "embedding_unavailable")
    assert (ranked.status_code, ranked.json()["error"]["code"]) == (503, "reranking_unavailable")


def test_a_node_that_is_not_there_is_told_of_and_keeps_nobody_from_starting(tmp_path: Path) -> None:
    backends = {"gone": {"url": "http://127.0.0.1:9", "models": ["m"]}}
    with served(tmp_path, {"backends": backends, "plugins": QUICK}) as front, front.client() as client:
        answer = client.post("/v1/chat/completions", json={"model": "gone/m", **CHAT})
        health = client.get("/admin/health").json()
        ready = client.get("/readyz")
        model = client.get("/admin/models/gone/m").json()
        listed = {one["id"]: one["lmx"] for one in client.get("/v1/models").json()["data"]}["gone/m"]

    assert model["reason"].startswith("gone is down: node 'gone' cannot be reached")
    assert (listed["node"], listed["reason"]) == ({"name": "gone", "healthy": False}, None)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "node_failed")
    assert health["status"] == "degraded"
    assert "gone: node 'gone' cannot be reached" in health["reason"]
    assert ready.status_code == 200


def test_another_lmx_answers_whatever_this_one_is_asked(tmp_path: Path, helper: Helper) -> None:
    own_helpers = {"embedding": {"url": helper.url, "model": "nomic"}, "reranking": {"url": helper.url, "model": "bge"}}
    with served(tmp_path / "node", {"plugins": SLOW, "helper_nodes": own_helpers}) as node:
        box = {"url": node.url, "models": ["echo", "nomic", "bge"], "roles": ["chat", "completion", *VECTORS]}
        helpers = {"embedding": {"url": node.url, "model": "nomic"}, "reranking": {"url": node.url, "model": "bge"}}
        for name, config in (("models", {"backends": {"box": box}}), ("helpers", {"helper_nodes": helpers})):
            with served(tmp_path / name, config) as front, front.client() as client:
                prefix = "box/" if name == "models" else ""
                embedded = client.post("/v1/embeddings", json={"model": f"{prefix}nomic", "input": "hello"})
                ranked = client.post(
                    "/v1/rerank", json={"model": f"{prefix}bge", "query": "q", "documents": ["a", "b"]}
                )
                assert embedded.json()["data"][0]["embedding"] == [0.5, -1.0]
                assert [result["index"] for result in ranked.json()["results"]] == [1, 0]


@pytest.mark.parametrize("prompt", ["one two", ["one two", "three"]])
@pytest.mark.parametrize("stream", [False, True])
def test_completions_are_answered_by_the_node(pair: tuple[Server, Server], prompt: Any, *, stream: bool) -> None:
    _, front = pair
    body = {"model": "box/echo", "prompt": prompt, "stream": stream, "stream_options": {"include_usage": True}}

    with front.client() as client:
        answer = client.post("/v1/completions", json=body if stream else {**body, "stream_options": None})
    chunks = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    texts = ["", ""]
    for choice in [choice for chunk in chunks or [answer.json()] for choice in chunk["choices"]]:
        texts[choice["index"]] += choice["text"]

    assert texts == (["one two", "three"] if isinstance(prompt, list) else ["one two", ""])
    assert (chunks[-1] if stream else answer.json())["usage"]["completion_tokens"] == len(" ".join(texts).split())
