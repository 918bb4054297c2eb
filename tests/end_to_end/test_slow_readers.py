"""Clients that ask for a stream and do not read it, on real sockets whose buffers are as small as they can be."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from serving import Server, eventually, served

SIXTEEN_MB = {"reply": ("w" * 4000 + " ") * 4000, "context_length": 100_000}
MODELS = ["echo-process", "echo"]
"""One in a worker, one on the kernel's own loop."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    entry = {"max_concurrent_requests": 1}
    config = {
        "plugins": {"echo": {"enabled": True, **SIXTEEN_MB}},
        "models": {"auto_load": MODELS, "warmup_on_load": False, "settings": dict.fromkeys(MODELS, entry)},
    }
    with served(tmp_path_factory.mktemp("slow"), config) as running:
        for model in MODELS:
            running.wait_for("model_ready", model=model)
        yield running


def ask_and_do_not_read(server: Server, model: str, **headers: str) -> socket.socket:
    url = httpx.URL(server.url)
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": True}).encode()
    fields = {"Host": f"{url.host}:{url.port}", "Content-Length": str(len(body)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((url.host, url.port))
    client.sendall(f"POST /v1/chat/completions HTTP/1.1\r\n{head}\r\n".encode() + body)
    return client


def metric(server: Server, name: str) -> float:
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def seen(server: Server) -> tuple[float, int]:
    """Requests in flight, and rows that have a place."""
    scheduler = httpx.get(f"{server.url}/admin/stack").json()["scheduler"]
    return metric(server, "lmx_in_flight_requests"), scheduler["running"]


@pytest.mark.parametrize("model", MODELS)
def test_a_reader_that_was_cut_off_holds_no_place_and_others_are_served(server: Server, model: str) -> None:
    request_id = f"stuck-{model}"
    with closing(ask_and_do_not_read(server, model, **{"X-Request-ID": request_id})):
        eventually(lambda: metric(server, "lmx_in_flight_requests") == 1, timeout_s=10)
        eventually(lambda: seen(server) == (1, 0), timeout_s=10)

        with server.client() as client:
            messages: list[Any] = [{"role": "user", "content": "hi"}]
            answer = client.post("/v1/chat/completions", json={"model": model, "messages": messages, "max_tokens": 1})

    assert answer.status_code == 200
    eventually(lambda: seen(server) == (0, 0), timeout_s=10)
    line = server.wait_for("generation", request_id=request_id)
    assert "was not read fast enough" in line["reason"]


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_that_is_not_read_in_time_is_a_timeout_in_log_metrics_and_events(server: Server, model: str) -> None:
    before, request_id = metric(server, "lmx_errors_total"), f"late-{model}"
    limits = {"X-Timeout": "1", "X-Request-ID": request_id}
    with (
        httpx.stream("GET", f"{server.url}/admin/events", timeout=20) as events,
        closing(ask_and_do_not_read(server, model, **limits)),
    ):
        line = server.wait_for("generation", request_id=request_id, timeout_s=10)
        told = next(
            data
            for text in events.iter_lines()
            if text.startswith("data: ") and (data := json.loads(text[6:])).get("request_id") == request_id
        )
        counted = metric(server, "lmx_errors_total") - before

    assert (line["outcome"], told["outcome"], counted) == ("timeout", "timeout", 1)
    assert "was not read within" in line["reason"]
    assert seen(server) == (0, 0)
