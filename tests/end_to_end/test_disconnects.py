"""Whoever goes away, or runs out of time, gives everything back at once, in whatever stage the request is."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import frozen

from serving import Server, served

CHAT = "/v1/chat/completions"
AT_ONCE_S = 1.0
SLOW = {"tokens_per_second": 5, "reply": "word " * 2000}
MODELS = {
    # Its answers never begin: a prefill without an end. One runs, the next waits.
    "echo-process": {"echo": {"delay_ms": 600_000}, "max_concurrent_requests": 1},
    # Their answers never end; the first in steps of a worker, the second on the kernel's own loop.
    "echo-tokens": {"echo": SLOW},
    "echo": {"echo": SLOW},
}


@frozen
class Gauges:
    """What /metrics says, and how many requests the engine has."""

    in_flight: float
    queued: float
    running: int


@contextmanager
def serving(folder: Path, *models: str) -> Iterator[Server]:
    config = {
        "plugins": {"echo": {"enabled": True}},
        "models": {"auto_load": models, "settings": MODELS, "warmup_on_load": False},
    }
    with served(folder, config) as running:
        for model in models:
            running.wait_for("model_ready", model=model)
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("disconnects"), *MODELS) as running:
        yield running


@pytest.fixture
def fresh_server(tmp_path: Path) -> Iterator[Server]:
    """One that has measured nothing: no request is turned away at once because it would wait in vain."""
    with serving(tmp_path, "echo-process") as running:
        yield running


def gauges(server: Server, model: str) -> Gauges:
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    values = {line.split()[0]: float(line.split()[1]) for line in lines if line.startswith("lmx_")}
    engine = httpx.get(f"{server.url}/admin/stack").json()["models"][model]
    return Gauges(values["lmx_in_flight_requests"], values["lmx_queued_requests"], engine["running"])


def reaches(server: Server, model: str, expected: Gauges, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while (seen := gauges(server, model)) != expected:
        assert time.monotonic() < deadline, f"{seen}, not {expected}"


def ask(server: Server, model: str, *, stream: bool) -> socket.socket:
    """A request on a connection that the test can drop."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": stream}).encode()
    url = httpx.URL(server.url)
    head = f"POST {CHAT} HTTP/1.1\r\nHost: {url.host}:{url.port}\r\nContent-Length: {len(body)}\r\n\r\n"
    connection = socket.create_connection((url.host, url.port or 0))
    connection.sendall(head.encode() + body)
    return connection


IDLE, ONE = Gauges(0, 0, 0), Gauges(1, 0, 1)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_a_client_that_leaves_a_running_request_ends_it(server: Server, model: str, *, stream: bool) -> None:
    with closing(ask(server, model, stream=stream)) as connection:
        reaches(server, model, ONE, timeout_s=10)
        if stream and model != "echo-process":
            assert b'"content"' in connection.recv(4096)

    reaches(server, model, IDLE, AT_ONCE_S)


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_the_queue_leaves_those_who_run_alone(server: Server, *, stream: bool) -> None:
    with closing(ask(server, "echo-process", stream=True)):
        reaches(server, "echo-process", ONE, timeout_s=10)
        with closing(ask(server, "echo-process", stream=stream)):
            reaches(server, "echo-process", Gauges(2, 1, 1), timeout_s=10)

        reaches(server, "echo-process", ONE, AT_ONCE_S)

    reaches(server, "echo-process", IDLE, AT_ONCE_S)


def test_the_next_in_the_queue_takes_the_place_of_a_client_that_leaves(server: Server) -> None:
    with closing(ask(server, "echo-process", stream=True)) as first:
        reaches(server, "echo-process", ONE, timeout_s=10)
        with closing(ask(server, "echo-process", stream=False)):
            reaches(server, "echo-process", Gauges(2, 1, 1), timeout_s=10)

            first.close()

            reaches(server, "echo-process", ONE, AT_ONCE_S)

    reaches(server, "echo-process", IDLE, AT_ONCE_S)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_a_time_limit_ends_a_running_request(server: Server, model: str, *, stream: bool) -> None:
    told = timed_out(server, model, stream=stream)

    assert told == "timeout"
    reaches(server, model, IDLE, AT_ONCE_S)


@pytest.mark.parametrize("stream", [False, True])
def test_a_time_limit_ends_the_wait_in_the_queue(fresh_server: Server, *, stream: bool) -> None:
    with closing(ask(fresh_server, "echo-process", stream=True)):
        reaches(fresh_server, "echo-process", ONE, timeout_s=10)

        told = timed_out(fresh_server, "echo-process", stream=stream)

        assert told == "timeout"
        reaches(fresh_server, "echo-process", ONE, AT_ONCE_S)

    reaches(fresh_server, "echo-process", IDLE, AT_ONCE_S)


def timed_out(server: Server, model: str, *, stream: bool) -> str:
    """The code of the error that a request with little time ends in."""
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    with server.client() as client:
        answer = client.post(CHAT, json=body, headers={"X-Timeout": "0.5"})
    last = answer.text.strip().splitlines()[-1].removeprefix("data: ")
    return str(json.loads(last)["error"]["code"])
