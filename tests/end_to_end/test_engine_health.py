"""Health tells the truth about engines: a silent worker and a wedged one turn it red, and both are replaced."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving import Server, served

CHAT = "/v1/chat/completions"
BEAT_S = 0.25


def config(model: str, workers: dict[str, Any], **echo: Any) -> dict[str, Any]:
    return {
        "plugins": {"echo": {"enabled": True}},
        "models": {"auto_load": [model], "settings": {model: {"echo": echo}}, "warmup_on_load": False},
        "workers": {"heartbeat_interval_s": BEAT_S, **workers},
    }


def seconds_until(condition: Callable[[], bool], timeout_s: float = 20.0) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + timeout_s, "it never happened"
    return time.monotonic() - began


def engines(server: Server, model: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The check, and what is told of that model's engine."""
    answer = httpx.get(f"{server.url}/admin/health").json()
    return answer["checks"]["engines"], answer["engines"][model]


def is_ready(server: Server) -> bool:
    return httpx.get(f"{server.url}/readyz").status_code == 200


@pytest.mark.parametrize("probe", ["/readyz", "/admin/health"])
def test_a_silent_worker_turns_health_red_within_three_heartbeats_and_is_replaced(tmp_path: Path, probe: str) -> None:
    with served(tmp_path, config("echo-process", {"restart_pause_s": 0.1})) as server:
        server.wait_for("model_ready")
        before, engine = engines(server, "echo-process")
        pid = httpx.get(f"{server.url}/admin/stack").json()["models"]["echo-process"]["pid"]

        os.kill(pid, signal.SIGSTOP)
        if probe == "/readyz":
            red_s = seconds_until(lambda: not is_ready(server))
        else:
            red_s = seconds_until(lambda: not engines(server, "echo-process")[0]["ok"])
        healed_s = seconds_until(lambda: is_ready(server))
        after, _ = engines(server, "echo-process")

    assert (before["ok"], after["ok"]) == (True, True)
    assert (engine["state"], engine["missed_beats"] <= 1) == ("ready", True)
    # the third beat is missed at three intervals, and the worker's own clock may be almost one behind ours
    assert red_s < 4 * BEAT_S + 0.5
    assert healed_s < 10
    server.wait_for("worker_died", model="echo-process")


def test_a_wedged_worker_turns_health_red_when_its_step_limit_passes(tmp_path: Path) -> None:
    answers: list[httpx.Response] = []
    body = {"model": "echo-tokens", "messages": [{"role": "user", "content": "hi"}]}
    workers = {"step_timeout_sec": 1, "restart_pause_s": 1.0}
    with served(tmp_path, config("echo-tokens", workers, hang_after=1)) as server, server.client() as client:
        server.wait_for("model_ready")
        asking = threading.Thread(target=lambda: answers.append(client.post(CHAT, json=body)))
        asking.start()

        red_s = seconds_until(lambda: not engines(server, "echo-tokens")[0]["ok"])
        check, engine = engines(server, "echo-tokens")
        reason = httpx.get(f"{server.url}/readyz").json()["reason"]
        asking.join(60)
        seconds_until(lambda: is_ready(server))

    assert 1.0 <= red_s < 1.0 + 2 * BEAT_S + 1.0
    assert (engine["state"], engine["step_age_sec"]) == ("loading", None)
    assert check["detail"].startswith("the worker of echo-tokens is being replaced: the worker is wedged")
    assert reason.startswith("the worker of echo-tokens is being replaced")
    assert answers[0].json()["error"]["code"] == "engine_failed"
