"""What the MLX engine adds to a model, over a socket: adapters, guesses, embeddings, caches on disk, and bad files."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import lmx_tiny
from encoder_support import write_encoder
from lora_support import trained
from mlx_support import SHAPE, write_model
from serving import Server, served

TINY = Path(lmx_tiny.__file__).parent / "models" / "lmx-tiny"
LONG = "I run a private inference server and want to know what it can do. " * 6 + "How do I list the plugins?"


def chat(server: Server, model: str = "lmx-tiny", content: str = LONG, **body: Any) -> httpx.Response:
    messages = [{"role": "user", "content": content}]
    with server.client() as client:
        return client.post(
            "/v1/chat/completions",
            json={"model": model, "messages": messages, "max_tokens": 24, "temperature": 0, **body},
        )


def text_of(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])


def cached_of(answer: httpx.Response) -> int:
    return int(answer.json()["usage"]["prompt_tokens_details"]["cached_tokens"])


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models, good and bad."""
    folder = tmp_path_factory.mktemp("models")
    write_encoder(folder / "encoder")
    write_model(folder / "plain")
    write_model(folder / "small", shape={**SHAPE, "hidden_size": 32, "num_hidden_layers": 1, "head_dim": 8})
    for name in ("empty", "random", "cut", "unknown"):
        write_model(folder / name)
    (folder / "empty" / "model.safetensors").write_bytes(b"")
    (folder / "random" / "model.safetensors").write_bytes(bytes(range(256)) * 64)
    whole = (folder / "cut" / "model.safetensors").read_bytes()
    (folder / "cut" / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    config = folder / "unknown" / "config.json"
    config.write_text(config.read_text().replace('"llama"', '"perceptron"'))
    return folder


@pytest.fixture(scope="module")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    adapters = {
        "tuned": str(trained(TINY, folder / "tuned")),
        "foreign": str(trained(models / "plain", folder / "foreign", steps=1)),
    }
    settings = {"lmx-tiny": {"adapters": adapters}, "plain": {"draft_model": "small"}}
    with served(folder, {"models": {"directories": [str(models)], "settings": settings}}) as started:
        yield started


def test_an_adapter_makes_a_model_of_its_own(server: Server) -> None:
    base, tuned = text_of(chat(server)), text_of(chat(server, "lmx-tiny:tuned"))

    assert tuned != base
    assert text_of(chat(server)) == base


def failure_of(server: Server, model: str) -> str:
    with server.client() as client:
        answer = client.post("/admin/models/load", json={"model_id": model})
        status = client.get(f"/admin/models/{model}").json()
    assert answer.status_code >= 400, answer.text
    assert status["state"] == "failed"
    return str(status["reason"])


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("lmx-tiny:foreign", "adapter foreign does not fit lmx-tiny:foreign"),
        ("empty", "cannot be loaded"),
        ("random", "cannot be loaded"),
        ("cut", "cannot be loaded"),
        ("unknown", "perceptron"),
    ],
)
def test_what_cannot_be_loaded_fails_with_its_reason_and_hurts_nobody(server: Server, model: str, words: str) -> None:
    before = text_of(chat(server))

    assert words in failure_of(server, model)

    assert text_of(chat(server)) == before


def test_guesses_are_told_of(server: Server) -> None:
    with server.client() as client:
        body = {"model": "plain", "prompt": "the quick brown fox " * 30, "max_tokens": 40, "temperature": 0}
        assert client.post("/v1/completions", json=body).status_code == 200
        details = client.get("/admin/models/plain").json()

    assert details["speculative"]["kind"] == "draft_model"
    assert details["speculative"]["drafted"] > 0


def test_an_encoder_embeds_and_makes_no_text(server: Server) -> None:
    with server.client() as client:
        answer = client.post("/v1/embeddings", json={"model": "encoder", "input": ["the fox", "the dog", "the fox"]})
        refused = client.post("/v1/embeddings", json={"model": "encoder", "input": "fox", "dimensions": 8})
    said = chat(server, "encoder")

    assert answer.status_code == 200, answer.text
    vectors = np.array([entry["embedding"] for entry in answer.json()["data"]])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    assert np.allclose(vectors[0], vectors[2], atol=1e-5)
    assert not np.allclose(vectors[0], vectors[1], atol=1e-2)
    assert answer.json()["usage"]["prompt_tokens"] > 0
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "dimensions")
    assert said.status_code == 400


DISK = {"plugins": {"mlx": {"prefix_cache_disk_bytes": 1 << 28}}}


def keep(content: bytearray) -> None:
    """The file as it was."""


def flip(content: bytearray) -> None:
    content[-9000] ^= 4


@pytest.mark.parametrize(("change", "survives"), [(keep, True), (flip, False)])
def test_a_conversation_goes_on_after_a_restart(
    tmp_path: Path, change: Callable[[bytearray], None], survives: bool
) -> None:
    with served(tmp_path, DISK) as first:
        before = chat(first)
        first.stop()
    (path,) = (tmp_path / "home" / "prefix-caches").glob("*/*.kv.safetensors")
    content = bytearray(path.read_bytes())
    change(content)
    path.write_bytes(content)

    with served(tmp_path, DISK) as second:
        after = chat(second)
        with second.client() as client:
            cache = client.get("/admin/models/lmx-tiny").json()["cache"]

    assert text_of(after) == text_of(before)
    assert cached_of(before) == 0
    assert (cached_of(after) > 64) == survives
    assert (cache["disk"]["hits"], cache["disk"]["dropped"]) == (1, 0) if survives else (0, 1)
    dropped = [line for line in second.events if line.get("event") == "prefix_cache_file_dropped"]
    assert [line["reason"] for line in dropped] == ([] if survives else ["its checksum is wrong"])
