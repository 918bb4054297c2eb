"""A model that is not here: asked for, downloaded, loaded, used and deleted, over real sockets with a real engine."""

import json
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from fake_hub import FakeHub, fake_hub
from serving import Server, served

TINY = Path(__file__).parents[2] / "plugins/tiny/lmx_tiny/models/lmx-tiny"
FILES = {path.name: path.read_bytes() for path in TINY.iterdir()}
TOTAL = sum(map(len, FILES.values()))
CONFIG = {"models": {"warmup_on_load": False}}
ECHO = {**CONFIG, "plugins": {"echo": {"enabled": True}}}
MIDDLE = 2_000_000
WAIT_S = 60.0


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    """A hub with lmx-tiny under another name."""
    with fake_hub({"org/tiny": FILES}) as hub:
        yield hub


def environment(hub: FakeHub) -> Mapping[str, str]:
    return {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0"}


def polled(client: httpx.Client, path: str, **wanted: Any) -> Mapping[str, Any]:
    """The first answer with these facts."""
    deadline = time.monotonic() + WAIT_S
    while True:
        answer: Mapping[str, Any] = client.get(path).json()
        if all(answer.get(key) == value for key, value in wanted.items()):
            return answer
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)


def waited_for_bytes(client: httpx.Client, path: str, size_bytes: int) -> None:
    deadline = time.monotonic() + WAIT_S
    while client.get(path).json()["downloaded_bytes"] < size_bytes:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def chat(client: httpx.Client, model: str) -> httpx.Response:
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    return client.post("/v1/chat/completions", json={"model": model, "messages": messages, "max_tokens": 8})


def test_a_model_is_offered_confirmed_downloaded_loaded_used_and_deleted(tmp_path: Path, hub: FakeHub) -> None:
    with served(tmp_path, CONFIG, environment=environment(hub)) as server, server.client() as client:
        offered = client.post("/admin/models/load", json={"model_id": "org/tiny", "keep_alive_sec": 77})
        token = offered.json()["confirmation_token"]
        confirmed = client.post("/admin/models/load/confirm", json={"confirmation_token": token})
        twice = client.post("/admin/models/load/confirm", json={"confirmation_token": token})
        done = polled(client, confirmed.json()["progress_url"], status="completed")
        server.wait_for("model_ready", model="org/tiny")
        answer = chat(client, "org/tiny")
        client.post("/admin/models/unload", json={"model_id": "org/tiny"})
        deleted = client.delete("/admin/models/org/tiny")
        gone = chat(client, "org/tiny")

    assert (offered.status_code, confirmed.status_code, answer.status_code, gone.status_code) == (202, 202, 200, 404)
    assert (twice.status_code, twice.json()["error"]["code"]) == (404, "token_not_found")
    assert (done["downloaded_bytes"], done["total_bytes"], done["progress_percent"]) == (TOTAL, TOTAL, 100.0)
    assert answer.json()["choices"][0]["message"]["content"]
    assert deleted.json()["freed_bytes"] >= TOTAL


def test_a_request_for_a_model_that_is_not_here_downloads_nothing(tmp_path: Path, hub: FakeHub) -> None:
    with served(tmp_path, CONFIG, environment=environment(hub)) as server, server.client() as client:
        answer = chat(client, "org/tiny")

    assert answer.status_code == 404
    assert hub.requests == []


def test_a_killed_servers_download_goes_on_at_the_next_start(tmp_path: Path, hub: FakeHub) -> None:
    hub.hold_after("model.safetensors", MIDDLE)
    with served(tmp_path, CONFIG, environment=environment(hub)) as server, server.client() as client:
        begun = client.post("/admin/models/download", json={"repo_id": "org/tiny", "load": True}).json()
        waited_for_bytes(client, f"/admin/models/download/{begun['download_id']}/progress", MIDDLE)
        states = {model["id"]: model["lmx"]["state"] for model in client.get("/v1/models").json()["data"]}
        kill(server)
    hub.release()
    hub.requests.clear()

    with served(tmp_path, CONFIG, environment=environment(hub)) as server:
        server.wait_for("download_completed", repository="org/tiny")
        server.wait_for("model_ready", model="org/tiny")

    assert states["org/tiny"] == "downloading"
    assert [asked.start for asked in hub.asked_for("model.safetensors")] == [MIDDLE]


def test_a_download_outlives_a_start_without_its_hub_and_another_crash(tmp_path: Path, hub: FakeHub) -> None:
    hub.hold_after("model.safetensors", MIDDLE)
    with served(tmp_path, CONFIG, environment=environment(hub)) as server, server.client() as client:
        begun = client.post("/admin/models/download", json={"repo_id": "org/tiny"}).json()
        waited_for_bytes(client, f"/admin/models/download/{begun['download_id']}/progress", MIDDLE)
        kill(server)
    hub.release()
    hub.requests.clear()
    away = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0"}

    with served(tmp_path, CONFIG, environment=away) as server, server.client() as client:
        server.wait_for("download_waits", repository="org/tiny")
        assert client.post("/admin/models/load", json={"model_id": "lmx-tiny"}).status_code == 200
        (waiting,) = client.get("/admin/models/downloads").json()["downloads"]
        kill(server)
    with served(tmp_path, CONFIG, environment=environment(hub)) as server:
        server.wait_for("download_completed", repository="org/tiny")

    assert (waiting["repo_id"], waiting["status"]) == ("org/tiny", "downloading")
    assert "cannot be reached" in waiting["error"]
    assert [asked.start for asked in hub.asked_for("model.safetensors")] == [MIDDLE]


def test_in_safe_mode_a_download_waits_until_somebody_asks_for_it(tmp_path: Path, hub: FakeHub) -> None:
    (tmp_path / "home").mkdir()
    left = {"version": 1, "clean": False, "unclean_starts": [time.time()] * 3}
    left["downloads"] = [{"request": {"repo_id": "org/tiny"}, "load": None}]
    (tmp_path / "home" / "state.json").write_text(json.dumps(left))

    with served(tmp_path, ECHO, environment=environment(hub)) as server, server.client() as client:
        client.post("/admin/models/load", json={"model_id": "echo"})
        kept, untouched = recorded(tmp_path), list(hub.requests)
        begun = client.post("/admin/models/download", json={"repo_id": "org/tiny"}).json()
        done = polled(client, f"/admin/models/download/{begun['download_id']}/progress", status="completed")

    assert (kept, untouched, begun["joined"]) == (["org/tiny"], [], False)
    assert done["downloaded_bytes"] == TOTAL


def test_a_hub_that_hangs_does_not_keep_the_server_from_ending(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hanging = {"HF_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}", "HF_HUB_OFFLINE": "0"}
        with served(tmp_path, ECHO, environment=hanging) as server, server.client() as client:
            with pytest.raises(httpx.ReadTimeout):
                client.post("/admin/models/download", json={"repo_id": "org/tiny"}, timeout=1.0)
            assert server.stop(timeout_s=15.0) == 0


def recorded(folder: Path) -> list[str]:
    """The downloads of state.json."""
    downloads = json.loads((folder / "home" / "state.json").read_text())["downloads"]
    return [record["request"]["repo_id"] for record in downloads]


def kill(server: Server) -> None:
    """At once, and wait until its processes are gone too."""
    children = psutil.Process(server.process.pid).children()
    server.process.kill()
    server.process.wait()
    psutil.wait_procs(children, timeout=15)
