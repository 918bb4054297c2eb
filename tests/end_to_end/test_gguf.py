"""The built-in GGUF model over a real socket, asked by the unmodified OpenAI SDK."""

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

pytest.importorskip("llama_cpp", reason="the extra gguf is not installed")

from openai import APIError, BadRequestError, OpenAI

from gguf_support import write_adapter, write_bert, write_llama
from serving import Server, polled, served

MODEL = "lmx-tiny-gguf"
QUESTION: Any = [{"role": "user", "content": "How do I list the plugins?"}]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("gguf-server")
    models = folder / "models"
    for name in ("org/random", "org/bert", "org/damaged"):
        (models / name).mkdir(parents=True)
    write_llama(models / "org/random/random-Q4_K_M.gguf", template=None)
    write_bert(models / "org/bert/bert.gguf")
    (models / "org/damaged/damaged.gguf").write_bytes(b"GGUF" + b"\x00" * 1000)
    write_adapter(folder / "adapter.gguf")
    config = {
        "plugins": {"gguf": {"prefix_cache_min_tokens": 64}},
        "models": {
            "directories": [str(models)],
            "auto_load": [MODEL],
            "settings": {"org/random/random-Q4_K_M.gguf": {"adapters": {"other": str(folder / "adapter.gguf")}}},
        },
    }
    with served(folder, config) as server:
        server.wait_for("model_ready", model=MODEL)
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as made:
        yield made


def test_a_stream_spells_what_the_whole_answer_says(client: Any) -> None:
    whole = client.chat.completions.create(model=MODEL, messages=QUESTION)
    options: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(client.chat.completions.create(model=MODEL, messages=QUESTION, **options))

    assert "lmx plugins list" in whole.choices[0].message.content
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage


def test_choices_seeds_and_stops_work(client: Any) -> None:
    def ask(**fields: Any) -> list[str]:
        options = {"prompt": "Once", "max_tokens": 12, "temperature": 1.5, **fields}
        return [choice.text for choice in client.completions.create(model=MODEL, **options).choices]

    first = ask(n=3, seed=7)
    assert ask(n=3, seed=7) == first
    assert len(set(first)) > 1
    greedy = ask(temperature=0, max_tokens=20)[0]
    assert ask(temperature=0, max_tokens=20, stop=greedy[4:7])[0] == greedy[: greedy.index(greedy[4:7])]


def test_seeds_hold_beside_other_requests(client: Any) -> None:
    def ask() -> str:
        answer = client.completions.create(model=MODEL, prompt="Once", seed=11, temperature=1.2, max_tokens=16)
        return str(answer.choices[0].text)

    alone, beside = ask(), []
    noise = [
        threading.Thread(
            target=client.completions.create,
            kwargs={"model": MODEL, "prompt": f"Tell {number}", "max_tokens": 60, "temperature": 1.0},
        )
        for number in range(4)
    ]
    for thread in noise:
        thread.start()
    beside.append(ask())
    for thread in noise:
        thread.join()

    assert beside == [alone]


def test_logprobs_come_with_their_alternatives(client: Any) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=4, logprobs=True, top_logprobs=3)

    tokens = answer.choices[0].logprobs.content
    assert [len(token.top_logprobs) for token in tokens] == [3, 3, 3, 3]
    assert all(token.logprob == token.top_logprobs[0].logprob <= 0 for token in tokens)


def test_a_second_turn_is_served_from_the_prefix_cache(client: Any) -> None:
    long = [{"role": "user", "content": "Repeat after me: " + "alpha beta gamma " * 30}]

    client.chat.completions.create(model=MODEL, messages=long, max_tokens=4)
    again = client.chat.completions.create(model=MODEL, messages=long, max_tokens=4)

    assert again.usage.prompt_tokens_details.cached_tokens == again.usage.prompt_tokens - 1


def test_a_model_without_a_template_completes_and_refuses_to_chat(client: Any) -> None:
    model = "org/random/random-Q4_K_M.gguf"

    assert client.completions.create(model=model, prompt="abc", max_tokens=5).usage.completion_tokens <= 5
    with pytest.raises(BadRequestError) as refused:
        client.chat.completions.create(model=model, messages=QUESTION)
    assert refused.value.code == "unsupported_parameter"


def test_an_adapter_is_a_model_of_its_own(client: Any) -> None:
    base = "org/random/random-Q4_K_M.gguf"

    def ask(model: str) -> Any:
        answer = client.completions.create(model=model, prompt="abc", max_tokens=8, temperature=0)
        return answer.choices[0].text

    assert ask(base) == ask(base)
    assert ask(f"{base}:other") != ask(base)


def test_an_embedding_model_embeds_and_does_not_chat(client: Any) -> None:
    model = "org/bert/bert.gguf"

    answer = client.embeddings.create(model=model, input=["the cat", "a dog", "the cat"])

    vectors = [item.embedding for item in answer.data]
    assert [len(vector) for vector in vectors] == [32, 32, 32]
    assert vectors[0] == pytest.approx(vectors[2], abs=1e-6)
    assert vectors[0] != pytest.approx(vectors[1], abs=1e-3)
    assert answer.usage.prompt_tokens > 10
    with pytest.raises(BadRequestError):
        client.chat.completions.create(model=model, messages=QUESTION)


def test_a_damaged_file_is_reported_with_the_reason_and_harms_nobody(client: Any, server: Server) -> None:
    with pytest.raises(APIError):
        client.completions.create(model="org/damaged/damaged.gguf", prompt="x")

    failed = server.wait_for("model_failed", model="org/damaged/damaged.gguf")
    assert "version 0 of the format" in failed["reason"]
    assert client.chat.completions.create(model=MODEL, messages=QUESTION).choices[0].finish_reason == "stop"


def test_a_killed_worker_is_replaced_and_the_next_answer_is_right(client: Any, server: Server) -> None:
    with server.client() as http:
        before = http.get(f"/admin/models/{MODEL}").json()
        os.kill(worker_pid(server), signal.SIGKILL)
        after = polled(
            lambda: http.get(f"/admin/models/{MODEL}"), lambda answer: answer["state"] == "ready", timeout_s=30
        )

    answer = client.chat.completions.create(model=MODEL, messages=QUESTION)
    assert "lmx plugins list" in answer.choices[0].message.content
    assert before["state"] == after["state"] == "ready"


def worker_pid(server: Server) -> int:
    """Of the worker that has the built-in model."""
    workers = psutil.Process(server.process.pid).children(recursive=True)
    mapped = [worker.pid for worker in workers if any("lmx-tiny.gguf" in part.path for part in worker.memory_maps())]
    assert len(mapped) == 1
    return mapped[0]


def test_the_cache_is_shown_to_operators(server: Server, client: Any) -> None:
    client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=2)

    with server.client() as http:
        shown = http.get(f"/admin/models/{MODEL}").json()

    assert {"hits", "misses", "bytes", "entries", "evictions", "last_miss"} <= shown["cache"].keys()
