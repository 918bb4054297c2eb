"""Embeddings and rerankings over a socket, by engines in worker processes."""

import os
import signal
from array import array
from base64 import b64decode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving import Server, served

SLOW = {"echo": {"delay_ms": 1500}}
CONFIG = {
    "plugins": {"echo": {"enabled": True}},
    "models": {"settings": {"echo-process": SLOW}},
    "workers": {"restart_pause_s": 0.05},
}
MODELS = ["echo-tokens", "echo"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("embeddings"), CONFIG) as started:
        yield started


def embed(server: Server, model: str = "echo-tokens", **body: Any) -> httpx.Response:
    with server.client() as client:
        return client.post("/v1/embeddings", json={"model": model, **body})


def vectors_of(answer: httpx.Response) -> list[list[float]]:
    assert answer.status_code == 200, answer.text
    return [entry["embedding"] for entry in answer.json()["data"]]


@pytest.mark.parametrize("model", MODELS)
def test_a_text_a_list_and_single_precision_in_base64_agree(server: Server, model: str) -> None:
    alone = vectors_of(embed(server, model, input="good morning"))
    listed = vectors_of(embed(server, model, input=["other", "good morning"]))
    packed = vectors_of(embed(server, model, input="good morning", encoding_format="base64"))

    assert listed[1] == alone[0]
    assert array("f", b64decode(str(packed[0]))).tolist() == pytest.approx(alone[0])


def test_token_ids_are_taken_as_they_are_and_counted(server: Server) -> None:
    text = vectors_of(embed(server, input="abc"))
    ids = embed(server, input=list(b"abc"))
    several = embed(server, input=[list(b"abc"), list(b"de")])

    assert vectors_of(ids) == text
    assert ids.json()["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    assert vectors_of(several)[0] == text[0]
    assert several.json()["usage"]["prompt_tokens"] == 5
    assert several.headers["x-lmx-served-by"] == "echo-tokens/echo-tokens"


@pytest.mark.parametrize("model", MODELS)
def test_shorter_vectors_can_be_had(server: Server, model: str) -> None:
    (vector,) = vectors_of(embed(server, model, input="good morning", dimensions=8))

    assert len(vector) == 8
    assert sum(value * value for value in vector) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"input": ["a"] * 2049}, "invalid_input", "input"),
        ({"input": []}, "invalid_input", "input"),
        ({"input": ["a", ""]}, "invalid_input", "input"),
        ({"input": ""}, "invalid_value", "input"),
        ({"input": [1, 999]}, "invalid_value", "input"),
        ({"input": "a" * 9000}, "context_length_exceeded", "input"),
        ({"input": "a", "dimensions": 65}, "invalid_value", "dimensions"),
        ({"input": "a", "dimensions": 0}, "invalid_value", "dimensions"),
        ({"input": "a", "encoding_format": "hex"}, "invalid_value", "encoding_format"),
    ],
)
def test_what_cannot_be_embedded_is_refused_by_name(server: Server, body: Any, code: str, param: str) -> None:
    answer = embed(server, **body)

    assert answer.status_code == 400
    assert (answer.json()["error"]["code"], answer.json()["error"]["param"]) == (code, param)


def test_as_many_inputs_as_are_allowed_come_back_in_order(server: Server) -> None:
    answer = embed(server, input=[f"input {place}" for place in range(2048)])

    assert [entry["index"] for entry in answer.json()["data"]] == list(range(2048))
    assert vectors_of(answer)[2047] == vectors_of(embed(server, input="input 2047"))[0]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/embeddings", {"input": ["one", "two"]}),
        ("/v1/rerank", {"query": "one", "documents": ["two", "one"]}),
    ],
)
def test_a_worker_killed_in_the_middle_of_a_call_goes_unnoticed(server: Server, path: str, body: Any) -> None:
    def ask() -> httpx.Response:
        with server.client() as client:
            return client.post(path, json={"model": "echo-process", **body})

    with ThreadPoolExecutor() as pool, server.client() as client:
        client.post("/admin/models/load", json={"model_id": "echo-process"}).raise_for_status()
        before = engine(client)
        asked = pool.submit(ask)
        while not engine(client)["running"]:
            assert not asked.done(), "the call ended before the worker could be killed"
        os.kill(before["pid"], signal.SIGKILL)
        answer = asked.result()
        after = engine(client)

    assert answer.status_code == 200, answer.text
    assert len(answer.json().get("data") or answer.json()["results"]) == 2
    assert (after["deaths"], after["pid"] == before["pid"]) == (before["deaths"] + 1, False)


def engine(client: httpx.Client) -> Any:
    return client.get("/admin/stack").json()["models"]["echo-process"]


def test_where_nothing_embeds_the_answer_says_what_to_do(tmp_path: Path) -> None:
    with served(tmp_path, {"plugins": {"tiny": {"enabled": False}}}) as bare:
        answer = embed(bare, "nobody", input="a")

    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (503, "embedding_unavailable")
    assert "lmx pull" in error["message"]
    assert "helper_nodes" in error["message"]
