"""The configuration is edited while the server runs."""

import json
import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving import Server, served

ECHO = {"plugins": {"echo": {"enabled": True}}}
RELOAD = "/admin/config/reload"


def rewrite(folder: Path, config: Mapping[str, Any] | str) -> None:
    text = config if isinstance(config, str) else json.dumps(config)
    (folder / "config.d" / "50-test.yaml").write_text(text)


def ask(client: httpx.Client, model: str) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
    return client.post("/v1/chat/completions", json=body)


def hang_up(server: Server) -> None:
    server.process.send_signal(signal.SIGHUP)


def lmx(server: Server, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lmx", *words, "--url", server.url],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_a_hangup_brings_new_aliases_and_a_new_log_level(tmp_path: Path) -> None:
    with served(tmp_path, ECHO) as server, server.client() as client:
        before = ask(client, "talk")
        rewrite(tmp_path, {**ECHO, "routing": {"aliases": {"talk": ["echo"]}}, "logging": {"level": "DEBUG"}})
        hang_up(server)
        line = server.wait_for("config_reloaded")
        after = ask(client, "talk")

    assert before.status_code == 404
    assert (after.status_code, after.json()["model"]) == (200, "echo")
    assert line["changed"] == ["logging.level", "routing.aliases"]
    assert line["needs_restart"] == []


def test_a_mistake_is_told_with_its_line_and_changes_nothing(tmp_path: Path) -> None:
    aliases = {"routing": {"aliases": {"talk": ["echo"]}}}
    with served(tmp_path, {**ECHO, **aliases}) as server, server.client() as client:
        rewrite(tmp_path, "routing:\n  aliases: {other: [echo]}\nloging: {level: LOUD}\nmemory: {ttl_seconds: 1}\n")
        hang_up(server)
        line = server.wait_for("config_reload_failed")
        over_http = client.post(RELOAD)
        rewrite(tmp_path, "routing: [\n")
        broken = client.post(RELOAD)
        still = ask(client, "talk")

    problems = [problem.rpartition("50-test.yaml")[2] for problem in line["problems"]]
    assert problems == [
        ":4: memory.ttl_seconds: must be at least 60",
        ":3: loging: unknown section, did you mean 'logging'?",
    ]
    assert (over_http.status_code, over_http.json()["error"]["code"]) == (500, "invalid_config")
    assert over_http.json()["error"]["message"].splitlines() == line["problems"]
    assert (broken.status_code, broken.json()["error"]["code"]) == (500, "invalid_config")
    assert still.status_code == 200


def test_flags_and_the_environment_of_the_start_survive(tmp_path: Path) -> None:
    environment = {"LMX_ROUTING__ALIASES": "{talk: [echo]}"}
    with served(tmp_path, ECHO, environment=environment) as server, server.client() as client:
        rewrite(tmp_path, {**ECHO, "server": {"port": 9}, "routing": {"aliases": {"talk": ["gone"]}}})
        answer = client.post(RELOAD).json()
        asked = ask(client, "talk")

    assert (answer["changed"], answer["needs_restart"]) == ([], [])
    assert asked.status_code == 200


def test_what_waits_for_a_restart_is_told_and_not_done(tmp_path: Path) -> None:
    with served(tmp_path, ECHO) as server, server.client() as client:
        rewrite(tmp_path, {"plugins": {"echo": {"enabled": False}}, "workers": {"stop_grace_s": 1}})
        answer = client.post(RELOAD).json()
        asked = ask(client, "echo")

    assert answer["needs_restart"] == ["plugins.echo.enabled", "workers.stop_grace_s"]
    assert asked.status_code == 200


def test_bounds_of_the_queue_change_while_the_server_runs(tmp_path: Path) -> None:
    with served(tmp_path, ECHO) as server, server.client() as client:
        rewrite(tmp_path, {"plugins": {"echo": {"enabled": True}, "priority": {"max_queue": 1}}})
        answer = client.post(RELOAD).json()

    assert answer["changed"] == ["plugins.priority.max_queue"]


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_the_command_prints_what_changed_and_what_waits(tmp_path: Path, form: list[str]) -> None:
    with served(tmp_path, ECHO) as server:
        rewrite(tmp_path, {**ECHO, "logging": {"level": "WARNING"}, "server": {"shutdown_grace_s": 5}})
        done = lmx(server, tmp_path, "config", "reload", *form)

    assert done.returncode == 0, done.stderr
    if form:
        facts = json.loads(done.stdout)
        assert (facts["changed"], facts["needs_restart"]) == (["logging.level"], ["server.shutdown_grace_s"])
    else:
        assert done.stdout.splitlines() == ["changed: logging.level", "needs a restart: server.shutdown_grace_s"]


def test_the_command_lists_every_problem_and_fails(tmp_path: Path) -> None:
    with served(tmp_path, ECHO) as server:
        rewrite(tmp_path, "serverr: {}\nlogging: {levl: INFO}\n")
        done = lmx(server, tmp_path, "config", "reload")

    assert done.returncode == 1
    assert "50-test.yaml:1: serverr: unknown section" in done.stderr
    assert "50-test.yaml:2: logging.levl: unknown key, did you mean 'level'?" in done.stderr


def test_the_last_key_of_a_server_that_others_reach_cannot_be_dropped(tmp_path: Path) -> None:
    keys = {"security": {"api_keys": ["api"], "admin_key": "admin"}}
    admin = {"X-Admin-Key": "admin"}
    with served(tmp_path, {"server": {"host": "0.0.0.0"}, **keys}) as server, server.client() as client:
        rewrite(tmp_path, {"server": {"host": "0.0.0.0"}})
        dropped = client.post(RELOAD, headers=admin)
        rewrite(tmp_path, {"server": {"host": "127.0.0.1"}})
        moved = client.post(RELOAD, headers=admin)
        without = client.get("/admin/models")

    for answer in (dropped, moved):
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "invalid_config")
        assert "security.api_keys is not set" in answer.json()["error"]["message"]
    assert without.status_code == 403


def test_a_new_admin_key_is_in_force_at_once(tmp_path: Path) -> None:
    with served(tmp_path, {"security": {"admin_key": "old"}}) as server, server.client() as client:
        rewrite(tmp_path, {"security": {"admin_key": "new"}})
        answer = client.post(RELOAD, headers={"X-Admin-Key": "old"})
        statuses = [client.get("/admin/models", headers={"X-Admin-Key": key}).status_code for key in ("old", "new")]

    assert answer.json()["changed"] == ["security.admin_key"]
    assert "new" not in json.dumps(answer.json()["changed"])
    assert statuses == [403, 200]


def test_a_folder_that_is_gone_does_not_open_the_server(tmp_path: Path) -> None:
    with served(tmp_path, {"security": {"admin_key": "admin"}}) as server, server.client() as client:
        (tmp_path / "config.d").rename(tmp_path / "elsewhere")
        hang_up(server)
        line = server.wait_for("config_reload_failed")
        closed = client.get("/admin/models")

    assert "is gone" in line["problems"][0]
    assert closed.status_code == 403


def test_subscribers_and_the_ledger_learn_of_the_new_memory_threshold(tmp_path: Path) -> None:
    with served(tmp_path, ECHO) as server, server.client() as client, client.stream("GET", "/admin/events") as events:
        before = client.get("/admin/memory").json()["threshold_percent"]
        rewrite(tmp_path, {**ECHO, "memory": {"max_memory_percent": 60}})
        client.post(RELOAD)
        lines = events.iter_lines()
        while next(lines) != "event: config_reloaded":
            continue
        data = next(line for line in lines if line.startswith("data: "))
        after = client.get("/admin/memory").json()["threshold_percent"]

    assert (before, after) == (90, 60)
    facts = json.loads(data.removeprefix("data: "))
    assert {name: value for name, value in facts.items() if name != "timestamp"} == {
        "changed": ["memory.max_memory_percent"],
        "needs_restart": [],
        "routing_aliases": {},
        "memory_threshold": 60,
        "log_level": "INFO",
    }


def test_reloads_at_the_same_time_take_turns(tmp_path: Path) -> None:
    with served(tmp_path, ECHO) as server, ThreadPoolExecutor(8) as pool:
        rewrite(tmp_path, {**ECHO, "logging": {"level": "WARNING"}})
        answers = list(pool.map(lambda _: httpx.post(server.url + RELOAD, timeout=30).json(), range(8)))

    assert [answer["success"] for answer in answers] == [True] * 8
    assert sum(answer["changed"] == ["logging.level"] for answer in answers) == 1


def test_a_terminal_that_closes_ends_its_server(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    modes = termios.tcgetattr(theirs)
    modes[1] &= ~termios.OPOST  # lines as they were written
    termios.tcsetattr(theirs, termios.TCSANOW, modes)
    process = subprocess.Popen(
        [sys.executable, "-m", "lmx", "serve", "--port", "0"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=tmp_path,
        env={**os.environ, "LMX_HOME": str(tmp_path / "home"), "LMX_LOGGING__FORMAT": "structured"},
        start_new_session=True,
    )
    os.close(theirs)
    with os.fdopen(ours, "rb") as terminal:
        while b'"listening"' not in terminal.readline():
            continue

    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGHUP)  # the shell passes it on, too

    assert process.wait(20) == 0
