"""A server that is not ours as a node: `mlx_lm.server`, as it comes with mlx-lm."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from serving import Server, eventually, served

pytest.importorskip("mlx_lm")

TINY = Path(__file__).parents[2] / "plugins/tiny/lmx_tiny/models/lmx-tiny"
QUESTION = [{"role": "user", "content": "How do I list the plugins?"}]
COUNT = [{"role": "user", "content": "Count from 1 to 100."}]
NO_END = {str(json.loads((TINY / "config.json").read_text())["eos_token_id"]): -100}
START_S = 90.0


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where it listens."""
    folder = tmp_path_factory.mktemp("mlx-lm")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlx_lm", "server", "--model", str(TINY), "--port", str(port)]
    environment = {**os.environ, "HF_HOME": str(folder), "HF_HUB_OFFLINE": "1"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment)
        try:
            eventually(lambda: answers(f"http://127.0.0.1:{port}/health"), START_S)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


def answers(url: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(url).status_code == 200
    return False


@pytest.fixture(scope="module")
def front(foreign: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    box = {"url": foreign, "models": {"tiny": "default_model"}, "timeout_s": 30}
    with served(tmp_path_factory.mktemp("front"), {"backends": {"box": box}}) as running:
        yield running


@pytest.fixture
def client(front: Server) -> Iterator[httpx.Client]:
    with front.client() as made:
        yield made


def streamed(client: httpx.Client, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """All chunks of a stream that ends as it should."""
    asked = {**body, "stream": True, "stream_options": {"include_usage": True}}
    with client.stream("POST", path, json=asked) as answer:
        lines = [line.removeprefix("data: ") for line in answer.iter_lines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]", lines
    return [json.loads(line) for line in lines[:-1]]


def test_a_chat_is_answered_by_it_as_a_whole_and_as_a_stream(client: httpx.Client) -> None:
    body = {"model": "box/tiny", "messages": QUESTION, "temperature": 0, "max_tokens": 40}

    whole = client.post("/v1/chat/completions", json=body)
    chunks = streamed(client, "/v1/chat/completions", body)

    text = whole.json()["choices"][0]["message"]["content"]
    assert "lmx plugins list" in text
    assert "".join(one["delta"].get("content") or "" for chunk in chunks for one in chunk["choices"]) == text
    assert chunks[-1]["usage"]["total_tokens"] == whole.json()["usage"]["total_tokens"] > 10
    assert whole.headers["x-lmx-served-by"] == "box/tiny"


def test_a_completion_is_answered_by_it_as_a_whole_and_as_a_stream(client: httpx.Client) -> None:
    body = {"model": "box/tiny", "prompt": "LMX is", "temperature": 0, "max_tokens": 12}

    whole = client.post("/v1/completions", json=body)
    chunks = streamed(client, "/v1/completions", body)

    text = whole.json()["choices"][0]["text"]
    assert text.strip()
    assert "".join(one["text"] for chunk in chunks for one in chunk["choices"]) == text
    assert whole.json()["choices"][0]["finish_reason"] in {"length", "stop"}


def test_a_client_that_leaves_ends_the_connection_to_it_and_the_next_is_answered(
    client: httpx.Client, front: Server, foreign: str
) -> None:
    body = {"model": "box/tiny", "messages": COUNT, "max_tokens": 4000, "logit_bias": NO_END, "stream": True}

    with front.client() as leaver, leaver.stream("POST", "/v1/chat/completions", json=body) as answer:
        lines = answer.iter_lines()
        next(lines)
        eventually(lambda: connections(front, foreign) == 1, timeout_s=5)
    eventually(lambda: in_flight(client) == 0, timeout_s=5)
    eventually(lambda: connections(front, foreign) == 0, timeout_s=5)
    after = client.post("/v1/chat/completions", json={**body, "stream": False, "max_tokens": 3})

    assert after.status_code == 200


def test_what_it_refuses_is_told_as_a_refusal_and_opens_no_circuit(client: httpx.Client) -> None:
    refused = [
        client.post(
            "/v1/chat/completions",
            json={"model": "box/tiny", "messages": QUESTION, "logprobs": True, "top_logprobs": 20},
        )
        for _ in range(4)
    ]
    after = client.post("/v1/chat/completions", json={"model": "box/tiny", "messages": QUESTION, "max_tokens": 3})

    assert {answer.status_code for answer in refused} == {400}
    assert "node 'box' refuses the request" in refused[0].json()["error"]["message"]
    assert after.status_code == 200


def connections(front: Server, foreign: str) -> int:
    port = int(foreign.rsplit(":", 1)[1])
    open_ones = psutil.Process(front.process.pid).net_connections("tcp")
    return sum(bool(one.raddr) and one.raddr.port == port and one.status == "ESTABLISHED" for one in open_ones)


def in_flight(client: httpx.Client) -> int:
    return int(client.get("/admin/health").json()["in_flight_requests"])
