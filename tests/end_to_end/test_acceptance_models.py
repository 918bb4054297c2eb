"""Models over a real socket: lists, settings, and unloads while something runs or loads."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from http_support import data_of
from model_folders import gguf_file, safetensors_model
from serving import Server, eventually, served

LONG = "word " * 50
WAIT_S = 60.0
PRESETS = {
    "slow.yaml": "name: slow\nmodel: echo\nperformance: {max_concurrent: 5, kv_budget_gb: 0.5, keep_alive_sec: 70}\n"
}
CONFIG: dict[str, Any] = {
    "plugins": {"echo": {"enabled": True}},
    "models": {
        "warmup_on_load": False,
        "kv_group_size": 32,
        "settings": {
            "echo-process": {"echo": {"fail_load": "hang"}},
            "echo-tokens": {"keep_alive_sec": 1, "echo": {"reply": LONG, "tokens_per_second": 100}},
        },
    },
}
"""One model never finishes its load, and one takes 2.5 seconds for its 250 tokens."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("acceptance-models")
    safetensors_model(folder / "models" / "org" / "name", size_bytes=1000)
    gguf_file(folder / "models" / "org" / "one.gguf", size_bytes=2000)
    presets = folder / "config.d" / "presets"
    presets.mkdir(parents=True)
    for name, text in PRESETS.items():
        (presets / name).write_text(text)
    settings = {**CONFIG, "models": {**CONFIG["models"], "directories": [str(folder / "models")]}}
    with served(folder, settings) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """A client; what it loaded is unloaded again."""
    with server.client() as made:
        yield made
        for model in made.get("/admin/models").json()["loaded"]:
            unload(made, model["id"])


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """For what goes on at the same time."""
    with ThreadPoolExecutor(4) as threads:
        yield threads


def load(client: httpx.Client, model_id: str, **options: Any) -> httpx.Response:
    return client.post("/admin/models/load", json={"model_id": model_id, **options})


def unload(client: httpx.Client, model_id: str) -> httpx.Response:
    return client.post("/admin/models/unload", json={"model_id": model_id})


def chat(client: httpx.Client, model_id: str, **fields: Any) -> httpx.Response:
    messages = [{"role": "user", "content": "hello"}]
    return client.post("/v1/chat/completions", json={"model": model_id, "messages": messages, **fields})


def one(client: httpx.Client, model_id: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/admin/models/{model_id}").json()
    return found


def streaming(client: httpx.Client, pool: ThreadPoolExecutor, model_id: str) -> "Future[httpx.Response]":
    """A stream that has begun."""
    stream = pool.submit(chat, client, model_id, stream=True)
    wait_until(lambda: stream.done() or one(client, model_id)["in_flight"] > 0)
    return stream


wait_until = partial(eventually, timeout_s=60.0, pause_s=0.02)


def test_a_server_without_models_lists_none(tmp_path: Path) -> None:
    with served(tmp_path, {"plugins": {"tiny": {"enabled": False}}}) as server, server.client() as client:
        listed = client.get("/v1/models")

    assert (listed.status_code, listed.json()) == (200, {"object": "list", "data": []})


@pytest.mark.parametrize("model_id", ["nothing", "org/name"])
def test_unloading_what_is_not_loaded_is_404(client: httpx.Client, model_id: str) -> None:
    answer = unload(client, model_id)

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    assert answer.json()["error"]["param"] == "model_id"


def test_a_request_s_performance_wins_over_a_preset_s_and_both_are_told(client: httpx.Client) -> None:
    loaded = load(client, "echo", performance_overrides={"max_concurrent_requests": 2})
    told = client.get("/admin/models/echo/performance").json()

    assert loaded.status_code == 200, loaded.text
    assert told["performance"] == {"max_concurrent_requests": 2, "kv_budget_gb": 0.5, "keep_alive_sec": 70.0}
    assert {"max_concurrent_requests": 2, "kv_budget_gb": 0.5}.items() <= told["settings"].items()
    assert (told["model_id"], told["backend_type"], told["request_count"]) == ("echo", "echo", 0)
    assert told["global_defaults"]["kv_group_size"] == 32
    assert told["global_defaults"]["scheduler"]["completion_batch_size"] == 32


def test_a_preset_s_performance_holds_where_a_load_leaves_it_open(client: httpx.Client) -> None:
    load(client, "echo")

    told = client.get("/admin/models/echo/performance").json()
    unknown = client.get("/admin/models/nothing/performance")

    assert told["performance"] == {"max_concurrent_requests": 5, "kv_budget_gb": 0.5, "keep_alive_sec": 70.0}
    assert one(client, "echo")["keep_alive_sec"] == 70
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")


def test_an_override_that_only_the_engine_can_judge_is_refused_before_a_worker_starts(
    server: Server, client: httpx.Client
) -> None:
    answer = load(client, "lmx-tiny", performance_overrides={"kv_bits": 8, "kv_group_size": 7})

    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "performance_overrides.kv_group_size")
    assert psutil.Process(server.process.pid).children() == []


def test_what_is_on_the_disk_is_listed_with_path_size_and_date(client: httpx.Client) -> None:
    found = {model["repo_id"]: model for model in client.get("/admin/models/available").json()}

    assert {"org/name", "org/one.gguf", "lmx-tiny"} <= set(found)
    for model in found.values():
        path = Path(model["local_path"])
        assert set(model) == {"repo_id", "local_path", "size_bytes", "downloaded_at"}
        assert path.exists()
        assert int(path.stat().st_mtime) >= model["downloaded_at"] - 1
    assert [found[name]["size_bytes"] for name in ("org/name", "org/one.gguf")] == [1000, 2000]


def test_what_an_operator_deletes_is_gone_from_disk_and_lists(client: httpx.Client) -> None:
    [path] = [
        Path(model["local_path"])
        for model in client.get("/admin/models/available").json()
        if model["repo_id"] == "org/name"
    ]
    size_bytes = sum(file.stat().st_size for file in path.iterdir())

    deleted = client.delete("/admin/models/org/name")
    again = client.delete("/admin/models/org/name")

    assert deleted.json() == {"success": True, "model_id": "org/name", "freed_bytes": size_bytes}
    assert again.status_code == 404
    assert not path.exists()
    safetensors_model(path, size_bytes=1000)


def test_idle_models_go_by_their_own_keep_alive_and_an_active_one_stays(
    client: httpx.Client, pool: ThreadPoolExecutor
) -> None:
    load(client, "echo", keep_alive_sec=0)
    stream = streaming(client, pool, "echo-tokens")
    meanwhile = set()
    while not stream.done():  # for longer than its keep-alive
        meanwhile.add(one(client, "echo-tokens")["state"])
    wait_until(lambda: one(client, "echo-tokens")["state"] == "on_disk")

    assert data_of(stream.result().text.splitlines())[-1] == "[DONE]"
    assert meanwhile == {"ready"}
    assert one(client, "echo")["state"] == "ready"


def test_an_unload_waits_for_the_stream_that_runs_and_lets_nobody_else_in(
    client: httpx.Client, pool: ThreadPoolExecutor
) -> None:
    stream = streaming(client, pool, "echo-tokens")

    unloading = pool.submit(unload, client, "echo-tokens")
    wait_until(lambda: one(client, "echo-tokens")["state"] == "draining")
    late = chat(client, "echo-tokens")
    shown = client.get("/admin/models").json()["loaded"]

    unloaded = unloading.result()
    events = data_of(stream.result().text.splitlines())
    assert (late.status_code, late.json()["error"]["code"]) == (503, "model_draining")
    assert [model["id"] for model in shown] == ["echo-tokens"]
    assert (unloaded.status_code, stream.done()) == (200, True)
    assert "".join(event["choices"][0]["delta"].get("content") or "" for event in events[:-1]) == LONG
    assert (events[-2]["choices"][0]["finish_reason"], events[-1]) == ("stop", "[DONE]")
    assert one(client, "echo-tokens")["state"] == "on_disk"


def test_an_unload_cancels_a_load_that_does_not_end(client: httpx.Client, pool: ThreadPoolExecutor) -> None:
    loading = pool.submit(load, client, "echo-process")
    wait_until(lambda: loading.done() or one(client, "echo-process")["state"] == "loading")

    cancelled = unload(client, "echo-process")
    answer = loading.result()

    assert (cancelled.status_code, cancelled.json()["success"]) == (200, True)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_draining")
    assert "was cancelled" in answer.json()["error"]["message"]
    assert one(client, "echo-process")["state"] == "on_disk"
    assert client.get("/admin/memory").json()["holdings"] == []
