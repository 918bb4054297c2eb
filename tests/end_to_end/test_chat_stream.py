"""/v1/chat/stream against a running server: the built-in model on its real engine, and `echo` with a slow reader."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from serving import Server, eventually, served

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def echo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    config = {
        "plugins": {"echo": {"enabled": True, "reply": "word " * 2000, "tokens_per_second": 50}},
        "security": {"api_keys": ["secret-key"], "admin_key": "secret-admin"},
    }
    with served(tmp_path_factory.mktemp("echo-stream"), config) as server:
        yield server


def chat_stream(server: Server, **options: Any) -> ClientConnection:
    connection: ClientConnection = connect(server.url.replace("http", "ws") + "/v1/chat/stream", proxy=None, **options)
    return connection


def ask(client: ClientConnection, model: str, content: str, **fields: Any) -> None:
    messages = [{"role": "user", "content": content}]
    client.send(json.dumps({"type": "chat.request", "model": model, "messages": messages, **fields}))


def heard_until(client: ClientConnection, kind: str) -> list[dict[str, Any]]:
    frames: list[dict[str, Any]] = [json.loads(client.recv(PATIENCE_S))]
    while frames[-1]["type"] != kind:
        frames.append(json.loads(client.recv(PATIENCE_S)))
    return frames


def in_flight(server: Server) -> int:
    headers = {"X-Admin-Key": "secret-admin"}
    with server.client(headers=headers) as client:
        status: int = client.get("/admin/status").json()["in_flight_requests"]
        return status


def test_the_built_in_model_says_the_same_as_over_http(tiny_server: Server) -> None:
    with tiny_server.client() as client:
        over_http = client.post(
            "/v1/chat/completions",
            json={
                "model": "lmx-tiny",
                "messages": [{"role": "user", "content": "What is LMX?"}],
                "temperature": 0,
                "max_tokens": 20,
            },
        ).json()
    with chat_stream(tiny_server) as socket:
        ask(socket, "lmx-tiny", "What is LMX?", temperature=0, max_tokens=20)
        frames = heard_until(socket, "chat.done")

    text = "".join(frame["content"] for frame in frames if frame["type"] == "chat.token")
    assert text == over_http["choices"][0]["message"]["content"]
    assert frames[-1]["usage"]["completion_tokens"] == over_http["usage"]["completion_tokens"]


def test_the_built_in_model_answers_several_requests_at_once(tiny_server: Server) -> None:
    with chat_stream(tiny_server) as socket:
        for name in ("a", "b", "c"):
            ask(socket, "lmx-tiny", "What is LMX?", request_id=name, temperature=0, max_tokens=20)
        ends = [heard_until(socket, "chat.done")[-1] for _ in range(3)]

    assert {end["request_id"] for end in ends} == {"a", "b", "c"}
    assert all(end["usage"]["completion_tokens"] > 0 for end in ends)


def test_without_the_key_nothing_is_accepted(echo_server: Server) -> None:
    with pytest.raises(InvalidStatus) as refused, chat_stream(echo_server):
        pass

    assert refused.value.response.status_code == 401


def test_a_disconnect_frees_the_slot_at_once(echo_server: Server) -> None:
    headers = {"Authorization": "Bearer secret-key"}
    with chat_stream(echo_server, additional_headers=headers) as socket:
        ask(socket, "echo-process", "hello")
        heard_until(socket, "chat.token")
        assert in_flight(echo_server) == 1

    eventually(lambda: in_flight(echo_server) == 0, timeout_s=10)  # its answer alone would take 40 s


def test_a_cancelled_request_ends_and_frees_the_slot(echo_server: Server) -> None:
    headers = {"x-api-key": "secret-key"}
    with chat_stream(echo_server, additional_headers=headers) as socket:
        ask(socket, "echo-process", "hello", request_id="a")
        heard_until(socket, "chat.token")
        socket.send(json.dumps({"type": "chat.cancel", "request_id": "a"}))
        done = heard_until(socket, "chat.done")[-1]
        eventually(lambda: in_flight(echo_server) == 0, timeout_s=10)

    assert done["finish_reason"] == "cancelled"
    assert done["usage"]["prompt_tokens"] > 0
    assert done["usage"]["completion_tokens"] > 0


def test_a_rate_limit_holds_for_each_request_of_a_connection(tmp_path: Path) -> None:
    config = {"plugins": {"echo": {"enabled": True}, "ratelimit": {"requests_per_minute": 2}}}
    with served(tmp_path, config) as server, chat_stream(server) as socket:  # the opening request is one of the two
        ask(socket, "echo", "hello")
        first = heard_until(socket, "chat.done")[-1]
        ask(socket, "echo", "hello", request_id="b")
        refused = heard_until(socket, "chat.error")[-1]

    assert first["finish_reason"] == "stop"
    assert (refused["request_id"], refused["error"]["code"]) == ("b", "rate_limit_exceeded")
