"""The operator's API over a real server with the echo: what other tests of this folder do not ask for."""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from serving import Server, polled, served

CONFIG: Mapping[str, Any] = {
    "plugins": {"echo": {"enabled": True, "tokens_per_second": 200}},
    "routing": {"aliases": {"code": ["gone", "echo-process"]}},
    "stack_presets": {
        "day": {"description": "for work", "roles": {"talk": "echo-tokens"}},
        "broken": {"roles": {"talk": "echo", "think": "gone"}},
    },
}
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def echo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("admin"), CONFIG) as server:
        yield server


@pytest.fixture
def client(echo_server: Server) -> Iterator[httpx.Client]:
    with echo_server.client() as client:
        yield client
        for model in client.get("/admin/models").json()["loaded"]:
            client.post("/admin/models/unload", json={"model_id": model["id"]})


def chat(client: httpx.Client, model: str, **headers: str) -> httpx.Response:
    messages = [{"role": "user", "content": "one two three"}]
    return client.post(CHAT, json={"model": model, "messages": messages}, headers=headers)


def test_the_document_of_every_built_in_surface_is_valid(client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()

    OpenAPIV31SpecValidator(described).validate()
    tags = {operation["tags"][0] for place in described["paths"].values() for operation in place.values()}
    assert tags >= {"lmx", "openai", "admin", "sessions"}
    undocumented = [
        path
        for path, place in described["paths"].items()
        for operation in place.values()
        for answer in operation["responses"].values()
        for kind in answer.get("content", {}).values()
        if path.startswith("/admin") and not kind["schema"]
    ]
    assert not undocumented


def test_a_model_is_loaded_used_and_unloaded_and_every_list_agrees(client: httpx.Client) -> None:
    loaded = client.post("/admin/models/load", json={"model_id": "echo-process", "keep_alive_sec": 60}).json()
    again = client.post("/admin/models/load", json={"model_id": "echo-process"}).json()
    chat(client, "echo-process")
    [listed] = client.get("/admin/models").json()["loaded"]
    memory = client.get("/admin/memory").json()
    status = client.get("/admin/status").json()
    unloaded = client.post("/admin/models/unload", json={"model_id": "echo-process"})
    gone = client.post("/admin/models/unload", json={"model_id": "echo-process"})

    assert loaded["time_to_load_ms"] > 0
    assert (again["memory_after_load_gb"], again["time_to_load_ms"]) == (None, None)
    assert (listed["id"], listed["request_count"], listed["keep_alive_sec"]) == ("echo-process", 1, 60.0)
    assert listed["loaded_at"] <= listed["last_used_at"] <= time.time()
    assert memory["models"]["echo-process"]["loaded"] is True
    assert [holding["name"] for holding in memory["holdings"]] == ["echo-process"]
    assert 0 < memory["held_gb"] <= memory["budget_gb"]
    assert (status["loaded_models"], status["models"]) == (1, ["echo-process"])
    assert (unloaded.status_code, unloaded.json()["success"]) == (200, True)
    assert (gone.status_code, gone.json()["error"]["param"]) == (404, "model_id")


def test_a_pinned_model_says_so_until_it_is_let_go(client: httpx.Client) -> None:
    client.post("/admin/models/load", json={"model_id": "echo"})

    pinned = client.post("/admin/models/echo/pin").json()
    shown = client.get("/admin/models/echo").json()["pinned"]
    let_go = client.delete("/admin/models/echo/pin").json()
    unloaded = client.post("/admin/models/echo-process/pin")

    assert (pinned["pinned"], shown, let_go["pinned"]) == (True, True, False)
    assert (unloaded.status_code, unloaded.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("override", [{"nonsense": 1}, {"kv_bits": 3}])
def test_an_override_that_nothing_honours_is_refused(client: httpx.Client, override: dict[str, Any]) -> None:
    answer = client.post("/admin/models/load", json={"model_id": "echo", "performance_overrides": override})

    assert answer.status_code == 400
    assert answer.json()["error"]["param"].startswith("performance_overrides")


def test_an_override_that_is_honoured_is_told(client: httpx.Client) -> None:
    asked = {"model_id": "echo", "performance_overrides": {"max_concurrent_requests": 2}}

    loaded = client.post("/admin/models/load", json=asked)
    shown = client.get("/admin/models/echo/performance").json()

    assert loaded.status_code == 200, loaded.text
    assert shown["performance"]["max_concurrent_requests"] == 2


def test_a_benchmark_counts_true_tokens_and_has_both_rates(client: httpx.Client) -> None:
    asked = {"model_id": "echo", "prompt": "one two three four five", "runs": 2}

    answer = client.post("/admin/benchmark", json=asked).json()

    assert [run["tokens_generated"] for run in answer["results"]] == [5, 5]
    for run in answer["results"]:
        assert 0 < run["time_to_first_token_ms"] <= run["total_time_ms"]
        assert run["decode_tokens_per_second"] == pytest.approx(200, rel=0.5)
    assert answer["avg_total_time_ms"] > 0


def test_metrics_count_what_was_asked_and_by_whom(client: httpx.Client) -> None:
    before = client.get("/admin/metrics/json").json()
    chat(client, "echo", **{"X-Client-ID": "bot-7"})
    after = client.get("/admin/metrics/json").json()
    page = client.get("/admin/metrics").text

    assert after["total_requests"] - before["total_requests"] == 1
    assert after["total_completion_tokens"] - before["total_completion_tokens"] == 3
    assert after["per_client"]["bot-7"] == {"requests": 1, "errors": 0, "completion_tokens": 3}
    assert after["per_model"]["echo"]["requests"] >= 1
    assert 'lmx_client_requests_total{client="bot-7"} 1.0' in page
    assert "lmx_uptime_seconds" in page


def test_the_stack_shows_roles_and_follows_what_is_activated(client: httpx.Client) -> None:
    before = client.get("/admin/stack").json()
    activated = client.post("/admin/stack/activate", json={"name": "day"})
    broken = client.post("/admin/stack/activate", json={"name": "broken"})
    after = client.get("/admin/stack").json()
    answer = chat(client, "talk")

    assert before["roles"]["code"] == {
        "preferences": ["gone", "echo-process"],
        "resolved_model": "echo-process",
        "loaded": False,
    }
    assert (before["active_stack"], set(before["stack_presets"])) == (None, {"day", "broken"})
    assert activated.json() == {"success": True, "name": "day", "roles": {"talk": "echo-tokens"}}
    assert broken.status_code == 404
    assert after["active_stack"] == "day"
    assert after["roles"]["talk"] == {
        "preferences": ["echo-tokens"],
        "resolved_model": "echo-tokens",
        "loaded": True,
    }
    assert answer.json()["model"] == "echo-tokens"


def test_the_predictor_has_seen_what_was_asked_for(client: httpx.Client) -> None:
    chat(client, "echo")
    answer = client.get("/admin/predictor").json()

    assert answer["total_accesses"] >= 1
    assert "echo" in dict(answer["top_models"])


def test_the_configuration_is_shown_without_its_secrets(tmp_path: Path) -> None:
    secret = "a-key-that-nobody-may-see"
    config = {"security": {"admin_key": secret, "api_keys": [secret]}}
    with served(tmp_path, config) as server, server.client(headers={"X-Admin-Key": secret}) as client:
        answer = client.get("/admin/config")

    assert secret not in answer.text
    assert answer.json()["config"]["server"]["host"] == "127.0.0.1"
    assert answer.json()["origins"]["security.admin_key"].endswith("50-test.yaml:1")


def test_a_reload_takes_over_what_can_change_and_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "config.d" / "50-test.yaml"
    with served(tmp_path, CONFIG) as server, server.client() as client:
        file.write_text(json.dumps({**CONFIG, "memory": {"max_memory_percent": 70}, "server": {"timeout_sec": 7}}))
        reloaded = client.post("/admin/config/reload").json()
        file.write_text(json.dumps({**CONFIG, "memory": {"max_memory_percent": 101}}))
        broken = client.post("/admin/config/reload")
        memory = client.get("/admin/memory").json()

    assert (reloaded["success"], reloaded["updated"]) == (True, ["memory"])
    assert reloaded["changed"] == ["memory.max_memory_percent"]
    assert reloaded["needs_restart"] == ["server.timeout_sec"]
    assert (broken.status_code, broken.json()["error"]["code"]) == (500, "invalid_config")
    assert "memory.max_memory_percent" in broken.json()["error"]["message"]
    assert memory["threshold_percent"] == 70


def test_a_model_is_quantised_in_a_process_of_its_own(tiny_server: Server) -> None:
    with tiny_server.client() as client:
        started = client.post("/admin/quantize", json={"source_model": "lmx-tiny", "group_size": 32}).json()
        path = f"/admin/quantize/{started['job_id']}"
        done = polled(lambda: client.get(path), lambda answer: answer["status"] != "running")
        listed = client.get("/admin/quantize").json()
        again = client.post("/admin/quantize", json={"source_model": "lmx-tiny", "group_size": 32})
        refused = client.post("/admin/quantize", json={"source_model": "lmx-tiny", "mode": "mxfp8", "bits": 4})

    assert (done["status"], done["error"], done["progress_percent"]) == ("completed", None, 100.0)
    assert (done["bits"], done["group_size"], done["mode"]) == (4, 32, "affine")
    assert 0 < done["output_size_bytes"] == sum(path.stat().st_size for path in Path(done["output_path"]).iterdir())
    assert done["duration_sec"] >= 0
    assert listed["jobs"][0]["job_id"] == started["job_id"]
    assert (again.status_code, again.json()["error"]["param"]) == (409, "output_path")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "bits")


def test_sessions_are_served_from_the_configured_folder(tmp_path: Path) -> None:
    folder = tmp_path / "sessions"
    folder.mkdir()
    (folder / "abc.json").write_text(json.dumps({"title": None, "model": "m", "created": "2026-01-01", "messages": []}))
    with served(tmp_path, {"plugins": {"sessions": {"directory": str(folder)}}}) as server, server.client() as client:
        listed = client.get("/admin/sessions").json()
        deleted = client.delete("/admin/sessions/abc").json()
        gone = client.get("/admin/sessions/abc")

    assert [session["id"] for session in listed["sessions"]] == ["abc"]
    assert deleted == {"deleted": True}
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "session_not_found")
