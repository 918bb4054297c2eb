"""A model that fails again and again, or whose worker is away, over a real socket: refused, replaced, tried, healed."""

import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving import Server, eventually, served

CHAT = "/v1/chat/completions"
SERVED_BY = "X-LMX-Served-By"


def config(echo: dict[str, Any], *, fallback: bool = True, **more: Any) -> dict[str, Any]:
    entry = {"echo": echo, **({"fallback": ["echo"]} if fallback else {})}
    plugins = {"echo": {"enabled": True}, "breaker": {"reset_after_s": 0.5}}
    models = {"settings": {"echo-process": entry}, "warmup_on_load": False}
    return {"plugins": plugins, "models": models, **more}


def ask(server: Server, **fields: Any) -> httpx.Response:
    body = {"model": "echo-process", "messages": [{"role": "user", "content": "hi"}], **fields}
    with server.client() as client:
        return client.post(CHAT, json=body)


def circuit(server: Server) -> dict[str, Any]:
    with server.client() as client:
        guards = client.get("/admin/stack").json()["guards"]
    (breaker,) = [guard for guard in guards if guard["guard"] == "breaker"]
    facts: dict[str, Any] = breaker["targets"].get("echo-process", {"state": "closed"})
    return facts


def metric(server: Server, name: str) -> float:
    with server.client() as client:
        lines = client.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f'{name}{{target="echo-process"}}'))


wait_until = partial(eventually, timeout_s=20.0, pause_s=0.0)


def reconfigure(server: Server, folder: Path, changed: dict[str, Any]) -> None:
    (folder / "config.d" / "50-test.yaml").write_text(json.dumps(changed))
    with server.client() as client:
        assert client.post("/admin/config/reload").status_code == 200


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[Server]:
    """A server whose `echo-process` gives up on every request."""
    with served(tmp_path, config({"fail_after": 0}, fallback=False)) as server:
        yield server


def test_a_broken_engine_is_left_alone_after_three_failures(broken: Server) -> None:
    answers = [ask(broken) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [502, 502, 502, 503]
    error = answers[3].json()["error"]
    assert (error["code"], error["param"]) == ("circuit_open", "model")
    assert int(answers[3].headers["Retry-After"]) >= 1
    assert metric(broken, "lmx_breaker_opened_total") >= 1


def test_probes_go_on_until_the_engine_is_mended_and_then_close_the_circuit(broken: Server, tmp_path: Path) -> None:
    for _ in range(3):
        ask(broken)
    broken.wait_for("breaker_half_open")
    broken.wait_for("generation", surface="probe", outcome="engine_failed")

    reconfigure(broken, tmp_path, config({}))
    with broken.client() as client:
        assert client.post("/admin/models/unload", json={"model_id": "echo-process"}).status_code == 200
    wait_until(lambda: circuit(broken)["state"] == "half_open" and circuit(broken)["calls"] == 0)
    answer = ask(broken)

    assert (answer.status_code, answer.json()["model"]) == (200, "echo-process")
    assert circuit(broken)["state"] == "closed"
    assert metric(broken, "lmx_breaker_state") == 0
    broken.wait_for("breaker_closed")


@pytest.mark.parametrize("stream", [False, True])
def test_the_fallback_answers_and_says_so(tmp_path: Path, *, stream: bool) -> None:
    with served(tmp_path, config({"fail_after": 0})) as server:
        answers = [ask(server, stream=stream) for _ in range(4)]
        state = circuit(server)["state"]
        line = server.wait_for("generation", tried=["echo-process", "echo"])

    assert [answer.headers[SERVED_BY] for answer in answers] == ["echo/echo"] * 4
    assert all('"model":"echo"' in answer.text.replace('": "', '":"') for answer in answers)
    assert state in {"open", "half_open"}
    assert line["served_by"] == "echo/echo"


def test_while_a_worker_restarts_the_fallback_answers_at_once(tmp_path: Path) -> None:
    with served(tmp_path, config({}, workers={"restart_pause_s": 5.0})) as server:
        first = ask(server)
        with server.client() as client:
            pid = client.get("/admin/stack").json()["models"]["echo-process"]["pid"]
        os.kill(pid, signal.SIGKILL)
        server.wait_for("worker_died")
        began = time.monotonic()
        second = ask(server)
        took_s = time.monotonic() - began
        server.wait_for("worker_state", state="ready")
        third = ask(server)

    assert [answer.headers[SERVED_BY] for answer in (first, second, third)] == [
        "echo-process/echo-process",
        "echo/echo",
        "echo-process/echo-process",
    ]
    assert took_s < 4.0


def test_without_a_fallback_a_request_waits_for_its_worker(tmp_path: Path) -> None:
    with served(tmp_path, config({}, fallback=False, workers={"restart_pause_s": 1.0})) as server:
        ask(server)
        with server.client() as client:
            pid = client.get("/admin/stack").json()["models"]["echo-process"]["pid"]
        os.kill(pid, signal.SIGKILL)
        server.wait_for("worker_died")
        answer = ask(server)

    assert (answer.status_code, answer.headers[SERVED_BY]) == (200, "echo-process/echo-process")


def test_answers_that_take_longer_than_they_may_open_no_circuit(tmp_path: Path) -> None:
    changed = config({"tokens_per_second": 1}, fallback=False)
    changed["models"]["inference_timeout_sec"] = 10
    words = [{"role": "user", "content": "word " * 50}]
    with served(tmp_path, changed) as server, ThreadPoolExecutor(3) as callers:
        late = []
        for _ in range(3):
            late.append(callers.submit(ask, server, messages=words))
            time.sleep(2.0)  # what fails together would be one failure
        statuses = [answer.result().status_code for answer in late]
        after = ask(server)

    assert (statuses, after.status_code) == ([504] * 3, 200)


def test_bad_requests_open_no_circuit(tmp_path: Path) -> None:
    with served(tmp_path, config({"context_length": 16}, fallback=False)) as server:
        refused = [ask(server, messages=[{"role": "user", "content": "word " * 100}]) for _ in range(5)]
        accepted = ask(server)

    assert {answer.status_code for answer in refused} == {400}
    assert accepted.status_code == 200
