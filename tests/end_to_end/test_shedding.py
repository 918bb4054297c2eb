"""Work is refused under memory pressure, which any machine has from one percent on."""

import json
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from serving import Server, eventually, served

ALWAYS = {"shed_above_percent": 1, "resume_below_percent": 0.1}
NEVER = {"shed_above_percent": 99.9, "resume_below_percent": 99.8}


def shedding(keys: Mapping[str, Any]) -> dict[str, Any]:
    return {"plugins": {"echo": {"enabled": True}, "shedder": dict(keys)}}


def ask(client: httpx.Client, **fields: Any) -> httpx.Response:
    body = {"model": "echo", "messages": [{"role": "user", "content": "hello"}], **fields}
    return client.post("/v1/chat/completions", json=body)


def reload(client: httpx.Client, folder: Path, config: Mapping[str, Any]) -> Any:
    (folder / "config.d" / "50-test.yaml").write_text(json.dumps(config))
    return client.post("/admin/config/reload").json()


def test_work_is_refused_from_the_first_request_on_and_told_when_to_come_back(tmp_path: Path) -> None:
    with served(tmp_path, shedding(ALWAYS)) as server, server.client() as client:
        answers = [
            ask(client),
            ask(client, stream=True),
            client.post("/v1/completions", json={"model": "echo", "prompt": "a"}),
        ]
        metrics = client.get("/metrics").text

    for answer in answers:
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "overloaded")
        assert answer.json()["error"]["type"] == "server_error"
        assert answer.headers["retry-after"] == "30"
        assert answer.headers["x-request-id"]
    assert 'lmx_shed_requests_total{reason="memory"} 3.0' in metrics
    assert "lmx_memory_pressure 0." in metrics


def test_health_metrics_and_what_frees_memory_stay_open(tmp_path: Path) -> None:
    with served(tmp_path, shedding(NEVER)) as server, server.client() as client:
        before = ask(client)
        reload(client, tmp_path, shedding(ALWAYS))
        refused = ask(client)
        paths = [
            "/healthz",
            "/readyz",
            "/metrics",
            "/openapi.json",
            "/v1/models",
            "/admin/models",
            "/admin/stack",
            "/admin/health",
        ]
        open_answers = {path: client.get(path).status_code for path in paths}
        unloaded = client.post("/admin/models/unload", json={"model_id": "echo"})

    assert (before.status_code, refused.status_code) == (200, 503)
    assert open_answers == dict.fromkeys(paths, 200)
    assert unloaded.status_code == 200


def test_work_is_taken_again_once_the_pressure_is_gone(tmp_path: Path) -> None:
    with served(tmp_path, shedding(ALWAYS)) as server, server.client() as client:
        refused = ask(client)
        during = client.get("/admin/stack").json()["middlewares"]["shedder.shedder"]
        changed = reload(client, tmp_path, shedding(NEVER))["changed"]
        taken = ask(client)
        after = client.get("/admin/stack").json()["middlewares"]["shedder.shedder"]
        started, ended = server.wait_for("shedding_started"), server.wait_for("shedding_ended")

    assert (refused.status_code, taken.status_code) == (503, 200)
    assert changed == ["plugins.shedder.resume_below_percent", "plugins.shedder.shed_above_percent"]
    assert (during["shedding"], during["refused"], after["shedding"]) == ("memory", 1, None)
    assert during["memory_percent"] > 1
    assert (started["reason"], started["shed_above_percent"]) == ("memory", 1)
    assert (ended["reason"], ended["refused"]) == ("memory", 1)


def test_the_health_report_says_what_to_do_and_the_server_stays_ready(tmp_path: Path) -> None:
    with served(tmp_path, shedding(ALWAYS)) as server, server.client() as client:
        report = client.get("/admin/health").text
        ready = client.get("/readyz")

    assert "unload a model" in report
    assert ready.status_code == 200


def test_bounds_that_leave_no_gap_are_refused_at_the_start(tmp_path: Path) -> None:
    with served(tmp_path, shedding(NEVER)) as server, server.client() as client:
        (tmp_path / "config.d" / "50-test.yaml").write_text(json.dumps(shedding({"shed_above_percent": 80})))
        answer = client.post("/admin/config/reload")

    assert answer.status_code == 500
    assert "plugins.shedder.resume_below_percent: must be below shed_above_percent (80)" in answer.text


def test_work_is_refused_while_the_event_loop_is_behind_and_taken_again_once_it_is_not(tmp_path: Path) -> None:
    """A process that is stopped for a while has a loop that was late, as one that computes on its loop has."""
    keys = {**NEVER, "max_loop_lag_ms": 20}
    with served(tmp_path, shedding(keys)) as server, server.client() as client:
        before = ask(client)
        refused = next(answer for answer in after_stalls(server, client) if answer.status_code == 503)
        healthy = client.get("/healthz")
        metrics = client.get("/metrics").text
        eventually(lambda: ask(client).status_code == 200, timeout_s=20)

    assert before.status_code == 200
    assert refused.json()["error"]["code"] == "overloaded"
    assert "behind with its work" in refused.json()["error"]["message"]
    assert healthy.status_code == 200
    assert 'lmx_shed_requests_total{reason="event_loop"}' in metrics


def after_stalls(server: Server, client: httpx.Client) -> Iterator[httpx.Response]:
    """What is answered just after each of some pauses of the whole process."""
    for _ in range(20):
        server.process.send_signal(signal.SIGSTOP)
        time.sleep(0.7)
        server.process.send_signal(signal.SIGCONT)
        yield ask(client)
