"""What is left after `kill -9` in the middle of a change, and after many changes: `pytest -m slow`."""

import json
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from fake_hub import FakeHub, fake_hub
from serving import Server, served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

KILLS = int(os.environ.get("LMX_SLOW_COUNT", "50"))
CYCLES = 4 * KILLS
SETTLED_AFTER = min(20, CYCLES // 2)
ALLOWED_GROWTH_BYTES = 10_000_000
TINY = Path(__file__).parents[2] / "plugins/tiny/lmx_tiny/models/lmx-tiny"
REPOSITORY = "org/tiny"
STEADY = "echo-process"
CONFIG: dict[str, Any] = {
    "plugins": {"echo": {"enabled": True}},
    "routing": {"aliases": {"steady": [STEADY]}},
    "models": {"warmup_on_load": False},
}
ALIVE = frozenset({"ready", "loading"})
ACTIONS: Mapping[str, Callable[[httpx.Client], object]] = {
    "load": lambda client: client.post("/admin/models/load", json={"model_id": "lmx-tiny"}),
    "download": lambda client: client.post("/admin/models/download", json={"repo_id": REPOSITORY}),
    "reload": lambda client: client.post("/admin/config/reload"),
}


def act(server: Server, action: str) -> threading.Thread:
    """The action on its way: its server may die under it."""

    def run() -> None:
        with suppress(httpx.HTTPError), server.client() as client:
            ACTIONS[action](client)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def wait_until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


def models(client: httpx.Client) -> dict[str, dict[str, Any]]:
    return {model["id"]: model for model in client.get("/admin/models").json()["models"]}


def kill_in_the_middle(folder: Path, hub: FakeHub, action: str, after_s: float) -> None:
    """A server with one model loaded, killed while it does something."""
    with served(folder, CONFIG, environment={"HF_ENDPOINT": hub.url}) as server:
        with server.client() as client:
            assert client.post("/admin/models/load", json={"model_id": STEADY}).status_code == 200
        kernel = psutil.Process(server.process.pid)
        acting = act(server, action)
        time.sleep(after_s)
        children = kernel.children(recursive=True)
        kernel.kill()
        server.process.wait(10)
        acting.join(60)
        _, alive = psutil.wait_procs(children, timeout=15)
    assert alive == []


def check_what_is_left(folder: Path, hub: FakeHub, action: str) -> None:
    """The next start finds what was there, nothing half done, and every part at work."""
    json.loads((folder / "home" / "state.json").read_text())
    with served(folder, CONFIG, environment={"HF_ENDPOINT": hub.url}) as server, server.client() as client:
        wait_until(lambda: models(client)[STEADY]["state"] == "ready")
        if action == "download":
            answer = client.post("/admin/models/download", json={"repo_id": REPOSITORY}).json()
            path = f"/admin/models/download/{answer['download_id']}/progress"
            wait_until(lambda: client.get(path).json()["status"] != "downloading")
            assert client.get(path).json()["status"] == "completed"
            assert models(client)[REPOSITORY]["state"] == "on_disk"
            assert client.delete(f"/admin/models/{REPOSITORY}").json()["freed_bytes"] > 0
        states = {model["state"] for model in models(client).values()}
        assert states <= {"on_disk", "no_engine", *ALIVE}
        assert client.get("/v1/models/steady").status_code == 200
        said = client.post("/v1/chat/completions", json={"model": "steady", "messages": [hello()]})
        assert said.status_code == 200
        assert server.stop() == 0
    assert not list((folder / "home").glob("*.corrupt*"))


def hello() -> dict[str, str]:
    return {"role": "user", "content": "hello"}


def test_a_server_killed_while_it_loads_downloads_or_reloads_comes_back_as_it_was(tmp_path: Path) -> None:
    chance = random.Random(0)
    files = {file.name: file.read_bytes() for file in TINY.iterdir() if file.is_file()}

    with fake_hub({REPOSITORY: files}) as hub:
        for _ in range(KILLS):
            action = chance.choice(sorted(ACTIONS))
            kill_in_the_middle(tmp_path, hub, action, chance.uniform(0, 1.5))
            check_what_is_left(tmp_path, hub, action)


def test_loading_and_unloading_again_and_again_leaves_the_kernels_memory_where_it_was(tmp_path: Path) -> None:
    with served(tmp_path) as server, server.client() as client:
        kernel = psutil.Process(server.process.pid)
        for number in range(1, CYCLES + 1):
            assert client.post("/admin/models/load", json={"model_id": "lmx-tiny"}).status_code == 200
            assert client.post("/admin/models/unload", json={"model_id": "lmx-tiny"}).status_code == 200
            if number == SETTLED_AFTER:
                settled_bytes = kernel.memory_info().rss
        grown_bytes = kernel.memory_info().rss - settled_bytes

    assert grown_bytes <= ALLOWED_GROWTH_BYTES
