"""Long fault and cycle runs: `pytest -m slow`; LMX_SLOW_COUNT sets how many rounds."""

import json
import os
import random
import signal
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from serving import Server, eventually, served

pytestmark = pytest.mark.slow

ROUNDS = int(os.environ.get("LMX_SLOW_COUNT", "20"))
CHAT = "/v1/chat/completions"
COUNT: dict[str, Any] = {
    "model": "lmx-tiny",
    "messages": [{"role": "user", "content": "Count from 1 to 100."}],
    "temperature": 0,
}
FAST_RESTARTS: dict[str, Any] = {
    "workers": {"restart_pause_s": 0.05, "quarantine_after": 10_000},
    "plugins": {"breaker": {"enabled": False}},
}
"""What becomes of a request is to be the supervision's doing alone: no circuit opens."""


wait_until = partial(eventually, timeout_s=30.0)


def wait_until_it_has_a_child(process: psutil.Process) -> None:
    wait_until(lambda: bool(process.children()))


def stack(server: Server) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.get(f"{server.url}/admin/stack", timeout=30).json()
    return answer


def ending(server: Server, *, stream: bool) -> str:
    """How one request ended: `done`, or the code of its error; anything else fails the test."""
    with httpx.Client(base_url=server.url, timeout=120) as client:
        if not stream:
            answer = client.post(CHAT, json=COUNT)
            return "done" if answer.status_code == 200 else str(answer.json()["error"]["code"])
        with client.stream("POST", CHAT, json={**COUNT, "stream": True}) as response:
            lines = [line.removeprefix("data: ") for line in response.iter_lines() if line]
    if lines[-1] == "[DONE]":
        return "done"
    return str(json.loads(lines[-1])["error"]["code"])


def test_workers_killed_at_random_never_leave_a_request_without_an_ending(tmp_path: Path) -> None:
    config = {"models": {"auto_load": ["lmx-tiny"]}, **FAST_RESTARTS}
    moments = random.Random(0)
    with served(tmp_path, config) as server:
        server.wait_for("model_ready", model="lmx-tiny")
        endings: list[str] = []
        for number in range(ROUNDS):
            clients = [
                threading.Thread(target=lambda stream=stream: endings.append(ending(server, stream=stream)))
                for stream in (True, True, False, False)
            ]
            pid = stack(server)["models"]["lmx-tiny"]["pid"]
            for client in clients:
                client.start()
            time.sleep(moments.uniform(0, 0.4))
            os.kill(pid, signal.SIGKILL)
            for client in clients:
                client.join(120)
            assert len(endings) == 4 * (number + 1), "a request never ended"
            wait_until(lambda: stack(server)["models"]["lmx-tiny"]["state"] == "ready")
        after = ending(server, stream=True)
        running = stack(server)["scheduler"]["running"]

    assert set(endings) <= {"done", "engine_failed"}
    assert after == "done"
    assert running == 0


def test_loading_and_unloading_leaves_no_process_and_no_descriptor_behind(tmp_path: Path) -> None:
    with served(tmp_path) as server, httpx.Client(base_url=server.url, timeout=120) as client:
        kernel = psutil.Process(server.process.pid)
        for number in range(ROUNDS):
            assert client.post("/admin/models/load", json={"model_id": "lmx-tiny"}).status_code == 200
            assert client.post("/admin/models/unload", json={"model_id": "lmx-tiny"}).status_code == 200
            if number == 0:
                descriptors = kernel.num_fds()

        assert kernel.children(recursive=True) == []
        assert kernel.num_fds() <= descriptors


def test_a_kernel_killed_at_any_moment_leaves_no_worker_behind(tmp_path: Path) -> None:
    moments = random.Random(0)
    for number in range(ROUNDS):
        with served(tmp_path / str(number), {"models": {"auto_load": ["lmx-tiny"]}}) as server:
            kernel = psutil.Process(server.process.pid)
            wait_until_it_has_a_child(kernel)
            time.sleep(moments.uniform(0, 2.5))
            workers = kernel.children(recursive=True)
            kernel.kill()
            server.process.wait(10)
            _, alive = psutil.wait_procs(workers, timeout=15)

        assert alive == []
