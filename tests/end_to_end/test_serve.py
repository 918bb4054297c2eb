"""`lmx serve` as an operator meets it: start, readiness, metrics, shutdown, and what is left behind."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from serving import Server, served

CHAT = "/v1/chat/completions"
COUNT = [{"role": "user", "content": "Count from 1 to 100."}]
ECHO = {"plugins": {"echo": {"enabled": True, "tokens_per_second": 20, "reply": "word " * 2000}}}


def test_it_listens_before_its_models_are_loaded_and_is_ready_after(tmp_path: Path) -> None:
    with served(tmp_path, {"models": {"auto_load": ["lmx-tiny"]}}) as server, server.client() as client:
        early = client.get("/readyz")
        server.wait_for("model_ready", model="lmx-tiny")
        late = client.get("/readyz")

    assert (early.status_code, early.json()["reason"]) == (503, "not loaded yet: lmx-tiny")
    assert (late.status_code, late.json()["models_loaded"]) == (200, 1)


def test_without_an_engine_it_starts_and_says_what_to_add(tmp_path: Path) -> None:
    config = {"plugins": {name: {"enabled": False} for name in ("gguf", "mlx", "static")}}
    with served(tmp_path, config) as server, server.client() as client:
        line = server.wait_for("no_engine")
        ready = client.get("/readyz")
        answer = client.post(CHAT, json={"model": "lmx-tiny", "messages": COUNT})

    assert "opta-lmx[mlx]" in line["advice"]
    assert ready.status_code == 503
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_engine")


def test_metrics_have_the_names_that_dashboards_know(tiny_server: Server) -> None:
    with tiny_server.client() as client:
        client.post(CHAT, json={"model": "lmx-tiny", "messages": COUNT, "max_tokens": 2, "stream": True})
        answer = client.get("/metrics")

    names = {line.split("{")[0].split(" ")[0] for line in answer.text.splitlines() if not line.startswith("#")}
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert names >= {
        "lmx_requests_total",
        "lmx_errors_total",
        "lmx_stream_requests_total",
        "lmx_prompt_tokens_total",
        "lmx_completion_tokens_total",
        "lmx_model_requests_total",
        "lmx_model_tokens_total",
        "lmx_request_duration_seconds_bucket",
        "lmx_time_to_first_token_seconds_count",
        "lmx_inter_token_seconds_count",
        "lmx_queue_wait_seconds_count",
        "lmx_prefill_seconds_count",
        "lmx_uptime_seconds",
        "lmx_loaded_models",
        "lmx_memory_used_gb",
        "lmx_memory_total_gb",
        "lmx_in_flight_requests",
        "lmx_concurrent_limit",
        "lmx_queued_requests",
        "lmx_asyncio_tasks",
    }


def test_a_port_in_use_is_a_clear_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        command = [sys.executable, "-m", "lmx", "serve", "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False)

    assert done.returncode == 1
    assert f"port {port} on 127.0.0.1 is in use" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("extra", [[], ["--insecure"]])
def test_others_are_let_in_only_with_keys_or_on_request(tmp_path: Path, extra: list[str]) -> None:
    command = [sys.executable, "-m", "lmx", "serve", "--host", "0.0.0.0", "--port", "0", *extra]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert process.stderr is not None
    first = process.stderr.readline()
    if extra:
        process.send_signal(signal.SIGTERM)
    status = process.wait(30)
    process.stderr.close()

    assert status == (0 if extra else 1)
    assert ("listening" if extra else "security.api_keys") in first


def test_sigterm_ends_within_the_grace_even_with_an_open_stream(tmp_path: Path) -> None:
    config = {**ECHO, "server": {"shutdown_grace_s": 2}}
    with served(tmp_path, config) as server, server.client() as client:
        body = {"model": "echo", "messages": COUNT, "stream": True}
        with client.stream("POST", CHAT, json=body) as answer:
            lines = answer.iter_lines()
            next(lines)
            began = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            rest = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
        status = server.process.wait(10)

    assert status == 0
    assert time.monotonic() - began < 2 + 3
    assert json.loads(rest[-1])["error"]["message"]


def test_sigterm_lets_a_running_answer_end(tmp_path: Path) -> None:
    config = {"plugins": {"echo": {"enabled": True, "tokens_per_second": 40, "reply": "word " * 40}}}
    with served(tmp_path, config) as server, server.client() as client:
        with client.stream("POST", CHAT, json={"model": "echo", "messages": COUNT, "stream": True}) as answer:
            lines = answer.iter_lines()
            next(lines)
            server.process.send_signal(signal.SIGTERM)
            rest = [line for line in lines if line.startswith("data: ")]
        status = server.process.wait(30)

    assert rest[-1] == "data: [DONE]"
    assert status == 0


def test_a_killed_kernel_leaves_no_worker_behind(tmp_path: Path) -> None:
    with served(tmp_path, {"models": {"auto_load": ["lmx-tiny"]}}) as server:
        server.wait_for("model_ready", model="lmx-tiny")
        workers = psutil.Process(server.process.pid).children(recursive=True)
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait(10)
        _, alive = psutil.wait_procs(workers, timeout=10)

    assert workers
    assert alive == []


def test_the_admin_api_lists_loads_and_unloads(tmp_path: Path) -> None:
    with served(tmp_path) as server, server.client() as client:
        loaded = client.post("/admin/models/load", json={"model_id": "lmx-tiny"})
        again = client.post("/admin/models/load", json={"model_id": "lmx-tiny"})
        listed = client.get("/admin/models").json()
        unloaded = client.post("/admin/models/unload", json={"model_id": "lmx-tiny"})
        unknown = client.post("/admin/models/unload", json={"model_id": "lmx-tiny"})

    assert (loaded.status_code, loaded.json()["success"]) == (200, True)
    assert again.status_code == 200
    assert [model["id"] for model in listed["loaded"]] == ["lmx-tiny"]
    assert (unloaded.status_code, unloaded.json()["success"]) == (200, True)
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")


def test_plugins_are_told_over_http_as_on_the_command_line(tiny_server: Server) -> None:
    command = [sys.executable, "-m", "lmx", "plugins", "list", "--json"]
    listed = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    told = httpx.get(f"{tiny_server.url}/admin/plugins").json()["plugins"]

    assert told == listed


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    with served(tmp_path, ECHO) as server, server.client() as client:
        body = {"model": "echo", "messages": COUNT, "stream": True}
        with client.stream("POST", CHAT, json=body) as answer:
            lines = answer.iter_lines()
            next(lines)
            server.process.send_signal(signal.SIGINT)
            server.wait_for("stopping")
            server.process.send_signal(signal.SIGINT)
            status = server.process.wait(5)

    assert status == 1


def test_running_out_of_descriptors_passes_when_the_connections_go(tmp_path: Path) -> None:
    with served(tmp_path, ECHO) as server:
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (64, 64))
        url = httpx.URL(server.url)
        crowd = [socket.create_connection((url.host, url.port or 0)) for _ in range(90)]
        time.sleep(2)
        for connection in crowd:
            connection.close()
        answer = httpx.get(f"{server.url}/healthz", timeout=20)

    assert answer.status_code == 200
    assert len(server.other_lines) < 500  # the log tells of it without filling the disk
