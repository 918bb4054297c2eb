"""Whatever is sent: a clear 4xx in the OpenAI shape that names the field, nothing dies, and the next request works."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import httpx
import pytest

from serving import Server, eventually, served

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
USER = [{"role": "user", "content": "hi"}]


def chat(**fields: Any) -> bytes:
    return json.dumps({"model": "lmx-tiny", "messages": USER, "max_tokens": 1, **fields}).encode()


def completion(**fields: Any) -> bytes:
    return json.dumps({"model": "lmx-tiny", "prompt": "LMX is", "max_tokens": 1, "temperature": 0, **fields}).encode()


def without(body: bytes, name: str) -> bytes:
    fields = json.loads(body)
    del fields[name]
    return json.dumps(fields).encode()


DEEP = b'{"model": "lmx-tiny", "messages": ' + b"[" * 5000 + b"]" * 5000 + b"}"

BAD: Mapping[str, tuple[str, bytes, int, str | None]] = {
    "an empty body": (CHAT, b"", 400, None),
    "not UTF-8": (CHAT, b'{"model": "\xff\xfe"}', 400, None),
    "not JSON": (CHAT, b"{model: lmx-tiny}", 400, None),
    "a list as the root": (CHAT, b"[]", 400, None),
    "a string as the root": (CHAT, b'"hi"', 400, None),
    "an empty object": (CHAT, b"{}", 400, "model"),
    "an empty object for completions": (COMPLETIONS, b"{}", 400, "model"),
    "a lone surrogate": (CHAT, chat(messages=[{"role": "user", "content": "\ud800"}]), 400, "messages[0].content"),
    "a lone surrogate as a model": (CHAT, chat(model="\udc00"), 400, "model"),
    "NaN": (CHAT, chat(temperature=float("nan")), 400, None),
    "infinity": (CHAT, chat(top_p=float("inf")), 400, None),
    "an integer beyond 64 bits": (CHAT, chat(seed=2**70), 400, "seed"),
    "a negative integer beyond 64 bits": (CHAT, chat(seed=-(2**70)), 400, "seed"),
    "an integer of 5,000 digits": (CHAT, b'{"model": "lmx-tiny", "seed": ' + b"9" * 5000 + b"}", 400, None),
    "token ids beyond the vocabulary": (COMPLETIONS, completion(prompt=[1, 10**6]), 400, "prompt"),
    "a negative token id": (COMPLETIONS, completion(prompt=[-1]), 400, "prompt"),
    "a huge token id": (COMPLETIONS, completion(prompt=[2**62]), 400, "prompt"),
    "a boolean as a token id": (COMPLETIONS, completion(prompt=[True]), 400, "prompt"),
    "an empty prompt": (COMPLETIONS, completion(prompt=[]), 400, "prompt"),
    "a bias key beyond the vocabulary": (CHAT, chat(logit_bias={"1000000": 1}), 400, "logit_bias"),
    "a bias key that is no number": (CHAT, chat(logit_bias={"x": 1}), 400, "logit_bias"),
    "a negative bias key": (CHAT, chat(logit_bias={"-1": 1}), 400, "logit_bias"),
    "a bias beyond its range": (CHAT, chat(logit_bias={"1": 101}), 400, "logit_bias"),
    "a negative top_k": (CHAT, chat(top_k=-1), 400, "top_k"),
    "deep JSON": (CHAT, DEEP, 400, None),
    "an unknown model": (CHAT, chat(model="nope"), 404, "model"),
    "an empty model": (CHAT, chat(model=""), 400, "model"),
    "a model path that climbs": (CHAT, chat(model="../../etc/passwd"), 400, "model"),
    "an absolute model path": (CHAT, chat(model="/etc/passwd"), 400, "model"),
    "no messages": (CHAT, chat(messages=[]), 400, "messages"),
    "messages missing": (CHAT, without(chat(), "messages"), 400, "messages"),
    "messages as a string": (CHAT, chat(messages="hi"), 400, "messages"),
    "an unknown role": (CHAT, chat(messages=[{"role": "wizard", "content": "hi"}]), 400, "messages[0].role"),
    "a message without a role": (CHAT, chat(messages=[{"content": "hi"}]), 400, "messages[0].role"),
    "content of a wrong type": (CHAT, chat(messages=[{"role": "user", "content": 3}]), 400, "messages[0].content"),
    "an image": (
        CHAT,
        chat(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]),
        400,
        "messages[0].content[0]",
    ),
    "temperature 3": (CHAT, chat(temperature=3), 400, "temperature"),
    "temperature as a string": (CHAT, chat(temperature="hot"), 400, "temperature"),
    "top_p 2": (CHAT, chat(top_p=2), 400, "top_p"),
    "max_tokens -1": (CHAT, chat(max_tokens=-1), 400, "max_tokens"),
    "max_tokens 0": (CHAT, chat(max_tokens=0), 400, "max_tokens"),
    "max_tokens 10^9": (CHAT, chat(max_tokens=10**9), 400, "max_tokens"),
    "max_tokens as a fraction": (CHAT, chat(max_tokens=1.5), 400, "max_tokens"),
    "a prompt longer than the context": (
        CHAT,
        chat(messages=[{"role": "user", "content": "word " * 40_000}]),
        400,
        "messages",
    ),
    "n 17": (CHAT, chat(n=17), 400, "n"),
    "n 0": (CHAT, chat(n=0), 400, "n"),
    "five stop strings": (CHAT, chat(stop=["a", "b", "c", "d", "e"]), 400, "stop"),
    "an empty stop string": (CHAT, chat(stop=[""]), 400, "stop"),
    "top_logprobs 21": (CHAT, chat(logprobs=True, top_logprobs=21), 400, "top_logprobs"),
    "an unknown field": (CHAT, chat(temprature=1), 400, "temprature"),
    "10 MB over the limit": (CHAT, chat(messages=[{"role": "user", "content": "x" * 10_000_000}]), 413, None),
}
LIMITS = {"server": {"max_body_bytes": 1_000_000}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    config = {**LIMITS, "models": {"auto_load": ["lmx-tiny"]}}
    with served(tmp_path_factory.mktemp("bad-input"), config) as running:
        running.wait_for("model_ready", model="lmx-tiny")
        yield running


def assert_alive(server: Server) -> None:
    """The next one-token completion works."""
    with server.client() as client:
        answer = client.post(COMPLETIONS, content=completion())
    assert answer.status_code == 200, answer.text
    assert answer.json()["usage"]["completion_tokens"] == 1


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_clearly_and_nothing_dies(server: Server, name: str) -> None:
    path, body, status, param = BAD[name]

    with server.client() as client:
        answer = client.post(path, content=body, headers={"content-type": "application/json"})

    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    if param is not None:
        assert error["param"].startswith(param)
    assert answer.headers["x-request-id"].startswith("req-")
    assert_alive(server)


VALID = {
    "two prompts": (COMPLETIONS, completion(prompt=["a", "b"])),
    "top_k beyond the vocabulary": (CHAT, chat(top_k=10**9)),
    "text parts": (CHAT, chat(messages=[{"role": "user", "content": [{"type": "text", "text": "hi"}]}])),
    "token ids": (COMPLETIONS, completion(prompt=[[1, 2], [3]])),
    "neutral unknown values": (CHAT, chat(tools=[], response_format={"type": "text"}, novelty=None, user="u")),
    "both spellings of max_tokens": (CHAT, chat(max_completion_tokens=1)),
}


@pytest.mark.parametrize("name", VALID)
def test_unusual_but_valid_input_is_answered(server: Server, name: str) -> None:
    path, body = VALID[name]

    with server.client() as client:
        answer = client.post(path, content=body)

    assert answer.status_code == 200, answer.text
    assert_alive(server)


def test_two_prompts_are_two_choices(server: Server) -> None:
    with server.client() as client:
        answer = client.post(COMPLETIONS, content=completion(prompt=["a", "b"]))

    assert [choice["index"] for choice in answer.json()["choices"]] == [0, 1]


@pytest.mark.parametrize(("method", "path", "status"), [("OPTIONS", CHAT, 204), ("HEAD", "/v1/models", 200)])
def test_head_and_options_are_answered(server: Server, method: str, path: str, status: int) -> None:
    with server.client() as client:
        answer = client.request(method, path)

    assert answer.status_code == status
    assert answer.content == b""
    assert_alive(server)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", CHAT, 405), ("GET", "/v1/nothing", 404)])
def test_wrong_methods_and_paths_have_the_openai_shape(server: Server, method: str, path: str, status: int) -> None:
    with server.client() as client:
        answer = client.request(method, path)

    assert answer.status_code == status
    assert answer.json()["error"]["message"]


LONG: Mapping[str, Any] = {
    "messages": [{"role": "user", "content": "Count from 1 to 100."}],
    "max_tokens": 2000,
    "temperature": 0,
}


def vanish_before_the_body(host: str, port: int) -> None:
    with socket.create_connection((host, port)) as connection:
        connection.sendall(f"POST {CHAT} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 500\r\n\r\n{{".encode())


def vanish_before_the_answer(host: str, port: int) -> None:
    _send_and_read(host, port, chat(**LONG), read_bytes=0)


def vanish_in_the_stream(host: str, port: int) -> None:
    _send_and_read(host, port, chat(**LONG, stream=True), read_bytes=600)


def vanish_in_the_headers(host: str, port: int) -> None:
    with socket.create_connection((host, port)) as connection:
        connection.sendall(b"POST /v1/chat/comp")


def _send_and_read(host: str, port: int, body: bytes, read_bytes: int) -> None:
    head = f"POST {CHAT} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((host, port)) as connection:
        connection.sendall(head.encode() + body)
        while read_bytes > 0 and (data := connection.recv(read_bytes)):
            read_bytes -= len(data)


@pytest.mark.parametrize(
    "vanish", [vanish_in_the_headers, vanish_before_the_body, vanish_before_the_answer, vanish_in_the_stream]
)
def test_a_client_that_vanishes_frees_its_place(server: Server, vanish: Callable[[str, int], None]) -> None:
    url = httpx.URL(server.url)

    vanish(url.host, url.port or 0)

    assert_in_flight_returns_to_zero(server)
    assert_alive(server)


def assert_in_flight_returns_to_zero(server: Server, timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    with server.client() as client:
        while "lmx_in_flight_requests 0.0" not in client.get("/metrics").text:
            assert time.monotonic() < deadline, "a request never ended"


def worker_pid(server: Server) -> int:
    with server.client() as client:
        return int(client.get("/admin/stack").json()["models"]["lmx-tiny"]["pid"])


def test_a_worker_killed_before_the_first_token_is_replaced_unnoticed(server: Server) -> None:
    pid = worker_pid(server)
    # Stopped, it takes the request and produces nothing: the kill then surely comes before the first token.
    os.kill(pid, signal.SIGSTOP)
    with server.client() as client:
        answers: list[httpx.Response] = []
        asking = threading.Thread(target=lambda: answers.append(client.post(CHAT, content=chat())))
        asking.start()
        wait_until(lambda: in_flight(server) == 1)
        os.kill(pid, signal.SIGKILL)
        asking.join(60)

    assert answers[0].status_code == 200, answers[0].text
    assert worker_pid(server) != pid
    assert_alive(server)


def test_a_worker_killed_in_mid_stream_ends_it_with_an_error_event(server: Server) -> None:
    pid = worker_pid(server)
    lines: list[str] = []
    killed = False

    with server.client() as client, client.stream("POST", CHAT, content=chat(**LONG, stream=True)) as answer:
        for line in answer.iter_lines():
            lines.append(line)
            if sum('"content"' in seen for seen in lines) == 3 and not killed:
                os.kill(pid, signal.SIGKILL)
                killed = True

    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    assert json.loads(data[-1])["error"]["code"] == "engine_failed"
    assert "[DONE]" not in data
    assert_alive(server)


def in_flight(server: Server) -> float:
    with server.client() as client:
        lines = client.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("lmx_in_flight_requests "))


wait_until = partial(eventually, timeout_s=10.0)
