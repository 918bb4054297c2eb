"""What a restart brings back, safe mode, keys that change under a running server, and events to the end."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from os import environ
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import connect_sse

from serving import Server, eventually, served

ECHO: dict[str, Any] = {"plugins": {"echo": {"enabled": True}}, "models": {"warmup_on_load": False}}
AUTO = {**ECHO, "models": {"auto_load": ["echo"], "warmup_on_load": False}}
PATIENCE_S = 20.0
ROUNDS = 5


def kill(server: Server) -> None:
    server.process.kill()
    server.process.wait(PATIENCE_S)


wait_until = partial(eventually, timeout_s=PATIENCE_S)


def state(client: httpx.Client, model_id: str) -> str:
    return str(client.get(f"/admin/models/{model_id}").json()["state"])


def is_ready(client: httpx.Client, model_id: str) -> bool:
    return state(client, model_id) == "ready"


def lmx(folder: Path, *words: str) -> str:
    """A command with the same home as the server's."""
    environment = {**environ, "LMX_HOME": str(folder / "home")}
    done = subprocess.run(
        [sys.executable, "-m", "lmx", "--config-dir", str(folder / "config.d"), *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


def test_after_a_crash_the_models_come_back_as_they_were(tmp_path: Path) -> None:
    with served(tmp_path, ECHO) as server, server.client() as client:
        client.post("/admin/models/load", json={"model_id": "echo", "keep_alive_sec": 77})
        client.post("/admin/models/load", json={"model_id": "echo-process"})
        client.post("/admin/models/echo/pin", json={"pinned": True})
        client.post("/admin/models/unload", json={"model_id": "echo-process"})
        wait_until(lambda: recorded(tmp_path) == ["echo"])
        kill(server)

    with served(tmp_path, ECHO) as server, server.client() as client:
        wait_until(partial(is_ready, client, "echo"))
        restored = client.get("/admin/models/echo").json()
        other = state(client, "echo-process")
        assert server.stop() == 0
    with served(tmp_path, ECHO) as server, server.client() as client:
        afresh = state(client, "echo")

    assert (restored["keep_alive_sec"], restored["pinned"]) == (77, True)
    assert (other, afresh) == ("on_disk", "on_disk")


def recorded(folder: Path) -> list[str]:
    return [model["id"] for model in json.loads((folder / "home" / "state.json").read_text())["loaded_models"]]


def post(client: httpx.Client, path: str, **body: Any) -> None:
    assert client.post(path, json=body).status_code == 200


CHANGES: dict[str, tuple[Callable[[httpx.Client], None], dict[str, Any]]] = {
    "load": (
        lambda client: post(client, "/admin/models/load", model_id="echo-tokens", keep_alive_sec=77),
        {"active_stack": None, "echo": False, "echo-tokens": None},
    ),
    "pin": (
        lambda client: post(client, "/admin/models/echo/pin", pinned=True),
        {"active_stack": None, "echo": True},
    ),
    "unload": (
        lambda client: post(client, "/admin/models/unload", model_id="echo"),
        {"active_stack": None},
    ),
    "activate": (
        lambda client: post(client, "/admin/stack/activate", name="evening"),
        {"active_stack": "evening", "echo": False, "echo-process": None},
    ),
}
"""What is asked of a server that has `echo` loaded, and what it has to have on disk once it has answered."""
STACKED = {**ECHO, "stack_presets": {"evening": {"roles": {"night": "echo", "dusk": "echo-process"}}}}


@pytest.mark.parametrize("change", sorted(CHANGES))
def test_what_was_answered_is_on_disk_however_soon_the_kill_comes(tmp_path: Path, change: str) -> None:
    ask, expected = CHANGES[change]

    for number in range(ROUNDS):
        folder = tmp_path / str(number)
        with served(folder, STACKED) as server, server.client() as client:
            post(client, "/admin/models/load", model_id="echo", pinned=False)
            ask(client)
            kill(server)

        kept = json.loads((folder / "home" / "state.json").read_text())
        pins = {model["id"]: model["pinned"] for model in kept["loaded_models"]}
        assert {"active_stack": kept["active_stack"], **pins} == expected


def test_three_rapid_crashes_are_safe_mode_until_a_clean_stop(tmp_path: Path) -> None:
    for _ in range(3):
        with served(tmp_path, AUTO) as server:
            kill(server)

    with served(tmp_path, AUTO) as server, server.client() as client:
        before, health = client.get("/readyz"), client.get("/admin/health").json()
        untouched = state(client, "echo")
        doctor = lmx(tmp_path, "doctor", "--json")
        loaded = client.post("/admin/models/load", json={"model_id": "echo"})
        after = client.get("/readyz")
        assert server.stop() == 0
    with served(tmp_path, AUTO) as server, server.client() as client:
        wait_until(partial(is_ready, client, "echo"))

    assert (before.status_code, before.json()["reason"][:9]) == (503, "safe mode")
    assert (health["status"], "safe mode" in health["reason"]) == ("degraded", True)
    assert untouched == "on_disk"
    assert "safe mode" in doctor
    assert (loaded.status_code, after.status_code) == (200, 200)


def test_clean_restarts_are_never_safe_mode(tmp_path: Path) -> None:
    for _ in range(4):
        with served(tmp_path, AUTO) as server, server.client() as client:
            wait_until(partial(is_ready, client, "echo"))
            assert server.stop() == 0


def test_a_second_server_of_the_same_home_works_and_keeps_no_state(tmp_path: Path) -> None:
    with served(tmp_path, ECHO) as first, served(tmp_path, ECHO) as second:
        line = second.wait_for("state_not_kept")
        with second.client() as client:
            loaded = client.post("/admin/models/load", json={"model_id": "echo"})
        assert second.stop() == 0

        assert line["kept_by_pid"] == first.process.pid
        assert loaded.status_code == 200
        assert recorded(tmp_path) == []


def test_keys_are_made_and_revoked_under_a_running_server_and_never_logged(tmp_path: Path) -> None:
    with served(tmp_path, ECHO) as server, server.client() as client:
        opened = client.get("/v1/models").status_code
        secret = lmx(tmp_path, "keys", "create", "laptop")
        wait_until(lambda: client.get("/v1/models").status_code == 401)
        headers = {"Authorization": f"Bearer {secret}"}
        let_in = client.get("/v1/models", headers=headers).status_code
        lmx(tmp_path, "keys", "create", "other")
        lmx(tmp_path, "keys", "revoke", "laptop")
        wait_until(lambda: client.get("/v1/models", headers=headers).status_code == 401)
        refused = client.get("/v1/models", headers=headers).text
        assert server.stop() == 0

    assert (opened, let_in) == (200, 200)
    assert secret not in server.log() + refused
    assert "laptop" in server.log()


def test_commands_find_the_server_of_their_home_at_its_port(tmp_path: Path) -> None:
    with served(tmp_path, {**ECHO, "server": {"port": 9}}):
        listed = json.loads(lmx(tmp_path, "models", "list", "--json"))

    assert listed["server"] is not None
    assert "echo" in {model["id"] for model in listed["models"]}


def test_the_signal_to_stop_ends_a_stream_of_events_at_once(tmp_path: Path) -> None:
    config = {**ECHO, "server": {"shutdown_grace_s": 30}}
    with served(tmp_path, config) as server, server.client() as client:
        with connect_sse(client, "GET", "/admin/events") as source:
            frames = source.iter_sse()
            with server.client() as other:
                other.post("/admin/models/load", json={"model_id": "echo"})
            first = next(frames)
            while first.event != "model_loaded":
                first = next(frames)
            began = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            rest = [frame.event for frame in frames]
        status = server.process.wait(PATIENCE_S)

    assert first.json()["model_id"] == "echo"
    assert rest[-1] == "closed"
    assert (status, time.monotonic() - began < 5) == (0, True)
