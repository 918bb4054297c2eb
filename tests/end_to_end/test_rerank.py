"""POST /v1/rerank over a socket, by models that the configuration names and by one that lies in a folder."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest

from rerank_support import DOCUMENTS, QUERY, RerankApi, rerank_api, write_cross_encoder
from serving import Server, eventually, served

pytest.importorskip("rerankers")

HIDE = """
from importlib.machinery import PathFinder

found = PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest: None if name == "rerankers" else found(name, *rest)
"""


@pytest.fixture(scope="module")
def api() -> Iterator[RerankApi]:
    with rerank_api() as made:
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rerank")


@pytest.fixture(scope="module")
def server(api: RerankApi, folder: Path) -> Iterator[Server]:
    (folder / "models").mkdir()
    if find_spec("torch") and find_spec("transformers"):
        write_cross_encoder(folder / "models" / "org" / "judge")
    shaky = {"type": "api", "url": api.url, "name": "shaky"}
    there = {"type": "api", "url": api.url, "name": "theirs", "api_key": "sk-not-shown"}
    lost = {"type": "cross-encoder", "path": str(folder / "lost")}
    never = {"type": "colbert", "name": "org/never-fetched"}
    config = {
        "plugins": {
            "rerank": {"models": {"there": there, "shaky": shaky, "lost": lost, "never": never}, "device": "cpu"}
        },
        "models": {"directories": [str(folder / "models")]},
    }
    with served(folder, config) as started:
        yield started


def rerank(server: Server, **body: Any) -> httpx.Response:
    with server.client() as client:
        return client.post("/v1/rerank", json={"model": "there", "query": QUERY, "documents": DOCUMENTS, **body})


def test_the_documents_come_back_best_first(server: Server) -> None:
    answer = rerank(server)

    assert answer.status_code == 200, answer.text
    assert [result["index"] for result in answer.json()["results"]] == [0, 1, 2, 4, 3]
    assert answer.json()["results"][0]["relevance_score"] == 0.5
    assert answer.json()["usage"] == {"total_tokens": 21}
    assert answer.headers["x-lmx-served-by"].endswith("/there")


def test_no_more_than_there_are_and_a_query_of_blanks_is_refused(server: Server) -> None:
    clamped, blank = rerank(server, top_n=99), rerank(server, query="  ")
    two = rerank(server, top_n=2, return_documents=False).json()["results"]

    assert len(clamped.json()["results"]) == len(DOCUMENTS)
    assert [result["index"] for result in two] == [0, 1]
    assert (blank.status_code, blank.json()["error"]["code"]) == (400, "invalid_input")


def test_auto_is_a_reranker_that_is_loaded(server: Server) -> None:
    assert rerank(server, model="there").status_code == 200

    answer = rerank(server, model="auto")

    # `lost` comes first by its id, and cannot be opened.
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-lmx-served-by"].endswith("/there")


@pytest.mark.parametrize(("model", "advice"), [("lost", "mend its path"), ("never", "lmx pull org/never-fetched")])
def test_a_model_that_cannot_be_loaded_is_an_error_with_its_reason(server: Server, model: str, advice: str) -> None:
    answer = rerank(server, model=model)

    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "engine_failed")
    assert advice in answer.json()["error"]["message"]


def test_what_the_api_refuses_keeps_its_meaning(server: Server, api: RerankApi) -> None:
    api.status, api.answer = 422, {"detail": "no such language"}
    try:
        answer = rerank(server)
    finally:
        api.status, api.answer = 200, None

    assert answer.status_code == 400
    assert "no such language" in answer.json()["error"]["message"]


def test_a_client_that_leaves_frees_the_model(server: Server, api: RerankApi) -> None:
    before = len(api.asked)
    api.hold = threading.Event()
    try:
        with server.client() as client, pytest.raises(httpx.ReadTimeout):
            client.post("/v1/rerank", json={"model": "there", "query": "q", "documents": ["d"]}, timeout=0.5)
        eventually(lambda: len(api.asked) == before + 1, 10)
    finally:
        api.hold.set()
        api.hold = None

    assert rerank(server).status_code == 200


def test_a_model_that_fails_again_and_again_is_left_alone(server: Server, api: RerankApi) -> None:
    api.status = 500
    try:
        failures = [rerank(server, model="shaky") for _ in range(3)]
    finally:
        api.status = 200
    asked = len(api.asked)

    spared = rerank(server, model="shaky")

    assert [(answer.status_code, answer.json()["error"]["code"]) for answer in failures] == [(502, "engine_failed")] * 3
    assert (spared.status_code, spared.json()["error"]["code"]) == (503, "circuit_open")
    assert len(api.asked) == asked
    assert rerank(server, model="there").status_code == 200


def test_a_text_model_reranks_nothing_and_a_reranker_writes_nothing(server: Server) -> None:
    with server.client() as client:
        chat = client.post(
            "/v1/chat/completions", json={"model": "there", "messages": [{"role": "user", "content": "hello"}]}
        )
    wrong = rerank(server, model="lmx-tiny-embed")

    assert (chat.status_code, chat.json()["error"]["code"]) == (400, "unsupported_parameter")
    assert wrong.status_code == 400
    assert "is not made for reranking; made for reranking here: " in wrong.json()["error"]["message"]


def test_a_cross_encoder_in_a_model_folder_needs_no_configuration(server: Server) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")

    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: rerank(server, model="org/judge"), range(3)))

    assert [answer.status_code for answer in answers] == [200] * 3, answers[0].text
    results = answers[0].json()["results"]
    assert [answer.json()["results"] for answer in answers] == [results] * 3
    assert sorted(result["index"] for result in results) == list(range(len(DOCUMENTS)))
    scores = [result["relevance_score"] for result in results]
    assert scores == sorted(scores, reverse=True)
    assert answers[0].json()["usage"]["total_tokens"] > 40


def run(folder: Path, *words: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "lmx", "--config-dir", str(folder / "config.d"), *words],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LMX_HOME": str(folder / "home"), **environment},
    )
    return done.stdout


def test_the_key_is_not_shown(server: Server, folder: Path) -> None:
    shown = run(folder, "config", "show")

    assert "sk-not-shown" not in shown + server.log()
    assert "api_key: '********'" in shown


def test_without_the_library_the_plugin_is_idle_with_its_pip_line(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(HIDE)
    (tmp_path / "config.d").mkdir()

    listed = json.loads(run(tmp_path, "plugins", "list", "--json", PYTHONPATH=str(tmp_path)))

    (record,) = [record for record in listed if record["name"] == "rerank"]
    assert (record["status"], record["reason"]) == ("idle", "cannot find rerankers")
    assert record["advice"] == "pip install 'opta-lmx[rerank]'"


def test_a_local_reranker_answers_where_the_helper_cannot(tmp_path: Path, api: RerankApi) -> None:
    nowhere = {"url": "http://127.0.0.1:9", "model": "x", "fallback": "local"}
    models = {"there": {"type": "api", "url": api.url, "name": "theirs"}}
    config = {"helper_nodes": {"reranking": nowhere}, "plugins": {"rerank": {"models": models}}}

    with served(tmp_path, config) as started:
        answer = rerank(started)

    assert answer.status_code == 200, answer.text
    assert answer.headers["x-lmx-served-by"].endswith("/there")


def test_without_a_reranker_reranking_is_unavailable_and_says_what_to_install_and_to_set(tmp_path: Path) -> None:
    with served(tmp_path) as started:
        answer = rerank(started, model="auto")

    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (503, "reranking_unavailable")
    assert "pip install 'opta-lmx[rerank]'" in error["message"]
    assert "plugins.rerank.models" in error["message"]
