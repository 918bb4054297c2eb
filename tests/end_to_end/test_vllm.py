"""The unmodified OpenAI SDK against vllm-mlx in a worker, over real sockets."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from openai import APIError, BadRequestError, OpenAI

from serving import Server, eventually, served
from vllm_support import vllm_python
from worker_processes import is_worker

QUESTION = [{"role": "user", "content": "How do I list the plugins?"}]
ENDLESS = {"model": "lmx-tiny", "prompt": "LMX", "temperature": 0, "logit_bias": {"300": 100}}
"""One token again and again, until the context is full."""
READY_LIMIT_S = 180.0


def config(**settings: Any) -> dict[str, Any]:
    return {
        "models": {"auto_load": ["lmx-tiny"], "settings": {"lmx-tiny": {"backend": "vllm", **settings}}},
        "workers": {"interpreters": {"vllm": vllm_python()}},
    }


@pytest.fixture(scope="module")
def vllm_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("vllm-server"), config()) as server:
        server.wait_for("model_ready", READY_LIMIT_S, model="lmx-tiny")
        yield server


@pytest.fixture
def client(vllm_server: Server) -> Iterator[Any]:  # its request types are narrower than plain dictionaries
    with OpenAI(base_url=f"{vllm_server.url}/v1", api_key="unused", max_retries=0) as made:
        yield made


def ask(client: Any, **options: Any) -> Any:
    return client.chat.completions.create(**{"model": "lmx-tiny", "messages": QUESTION, "temperature": 0, **options})


def details(server: Server) -> dict[str, Any]:
    with server.client() as http:
        answer: dict[str, Any] = http.get("/admin/models/lmx-tiny").json()
    return answer


def worker_of(server: Server) -> psutil.Process:
    (worker,) = [child for child in psutil.Process(server.process.pid).children() if is_worker(child)]
    return worker


def test_the_model_is_served_by_the_backend_that_its_settings_name(vllm_server: Server) -> None:
    told = details(vllm_server)

    assert told["backend"] == "vllm"
    assert worker_of(vllm_server).cmdline()[0] == vllm_python()
    assert told["memory_bytes"] > 0
    assert told["engine"]["details"]["vllm_mlx"]


def test_a_question_about_lmx_gets_a_useful_answer_and_a_stream_spells_the_same(client: Any) -> None:
    whole = ask(client)
    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}))

    assert "lmx plugins list" in whole.choices[0].message.content
    assert whole.choices[0].finish_reason == "stop"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == (
        whole.choices[0].message.content
    )
    assert len([chunk for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]) > 5
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens > 5
    assert chunks[-1].usage.prompt_tokens == whole.usage.prompt_tokens > 5


def test_max_tokens_ends_an_answer_with_length_and_is_counted(client: Any) -> None:
    answer = ask(client, max_tokens=3)

    assert (answer.choices[0].finish_reason, answer.usage.completion_tokens) == ("length", 3)


def test_eight_clients_get_what_each_of_them_gets_alone(client: Any) -> None:
    options: list[dict[str, Any]] = [
        *({"temperature": 2.0, "seed": seed, "max_tokens": 16} for seed in range(4)),
        *({"temperature": 0, "max_tokens": 4 + number} for number in range(4)),
    ]
    alone = [ask(client, **chosen).choices[0].message.content for chosen in options]

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda chosen: ask(client, **chosen).choices[0].message.content, options))

    assert together == alone
    assert len(set(alone)) > 4


def test_seeds_make_choices_reproducible_and_different(client: Any) -> None:
    def texts() -> list[str]:
        answer = client.completions.create(model="lmx-tiny", prompt="Once", n=3, seed=7, temperature=1.5, max_tokens=12)
        assert answer.usage.completion_tokens <= 36
        return [choice.text for choice in sorted(answer.choices, key=lambda choice: choice.index)]

    first, second = texts(), texts()

    assert first == second
    assert len(set(first)) > 1


def test_a_stop_string_ends_the_text_before_it(client: Any) -> None:
    text = ask(client).choices[0].message.content
    stop = text[5:9]

    cut = ask(client, stop=[stop])

    assert cut.choices[0].message.content == text[: text.index(stop)]
    assert cut.choices[0].finish_reason == "stop"


def test_a_conversation_that_goes_on_finds_its_beginning_in_the_prefix_cache(client: Any) -> None:
    first = [{"role": "user", "content": "Tell me about LMX. " * 40}]
    ask(client, messages=first, max_tokens=4)

    second = ask(client, messages=[{"role": "user", "content": first[0]["content"] + "More."}], max_tokens=4)

    assert second.usage.prompt_tokens_details.cached_tokens > 128


def test_what_it_cannot_honour_is_refused_by_name(client: Any) -> None:
    with pytest.raises(BadRequestError) as caught:
        ask(client, logprobs=True)

    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "logprobs")


def test_a_request_that_cannot_be_served_leaves_the_others_alone(client: Any) -> None:
    def wrong() -> str:
        with pytest.raises(BadRequestError) as caught:
            client.completions.create(model="lmx-tiny", prompt=[10**6], max_tokens=4)
        return str(caught.value.param)

    with ThreadPoolExecutor(4) as pool:
        good = [pool.submit(ask, client) for _ in range(3)]
        assert pool.submit(wrong).result() == "prompt"

    assert all("lmx plugins list" in answer.result().choices[0].message.content for answer in good)


def test_clients_that_leave_make_room_for_the_next(tmp_path: Path) -> None:
    """With one row, whose answer would fill the whole context, each waits for the one before to be gone."""
    body = {**ENDLESS, "stream": True}
    with served(tmp_path, config(mode="single")) as server, server.client() as http:
        server.wait_for("model_ready", READY_LIMIT_S, model="lmx-tiny")
        for _ in range(6):
            with http.stream("POST", "/v1/completions", json=body, timeout=15) as answer:
                assert next(line for line in answer.iter_lines() if line.startswith("data: {"))
        last = http.post("/v1/completions", json={**ENDLESS, "max_tokens": 3}, timeout=15).json()

    assert last["usage"]["completion_tokens"] == 3


def test_a_killed_worker_is_replaced_and_the_request_that_it_had_is_answered(client: Any, vllm_server: Server) -> None:
    before = worker_of(vllm_server).pid
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.completions.create, **ENDLESS, max_tokens=2000)
        eventually(lambda: details(vllm_server)["in_flight"] == 1, 20, pause_s=0.01)
        os.kill(before, signal.SIGKILL)
        answer = asked.result(READY_LIMIT_S)

    assert (answer.choices[0].finish_reason, answer.usage.completion_tokens) == ("length", 2000)
    assert worker_of(vllm_server).pid != before
    assert "lmx plugins list" in ask(client).choices[0].message.content


def test_a_stream_whose_worker_is_killed_ends_with_an_error(client: Any, vllm_server: Server) -> None:
    stream = client.completions.create(**ENDLESS, stream=True)
    next(stream)

    os.kill(worker_of(vllm_server).pid, signal.SIGKILL)

    with pytest.raises(APIError, match="died"):
        list(stream)
    assert "lmx plugins list" in ask(client).choices[0].message.content


def test_a_server_that_ends_leaves_no_worker(tmp_path: Path) -> None:
    with served(tmp_path, config()) as server:
        server.wait_for("model_ready", READY_LIMIT_S, model="lmx-tiny")
        worker = worker_of(server)
        assert httpx.get(f"{server.url}/readyz").status_code == 200

        assert server.stop() == 0

    eventually(lambda: not worker.is_running(), 10)
