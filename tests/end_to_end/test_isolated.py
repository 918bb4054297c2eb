"""A plugin whose workers run in a Python environment of its own, next to the server's."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from environments import make_environment
from serving import Server, served

ROOT = Path(__file__).parents[2]
ECHO: dict[str, Any] = {"plugins": {"echo": {"enabled": True}}}


def lmx(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lmx", "--config-dir", str(folder / "config.d"), *words],
        env={**os.environ, "LMX_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def ask(server: Server) -> tuple[str, Any]:
    """What a model in a worker answers, and what is known of its engine."""
    body = {"model": "echo-tokens", "messages": [{"role": "user", "content": "good morning"}]}
    with server.client() as client:
        answer = client.post("/v1/chat/completions", json=body)
        assert answer.status_code == 200, answer.text
        engine = client.get("/admin/stack").json()["models"]["echo-tokens"]
    return answer.json()["choices"][0]["message"]["content"], engine


@pytest.mark.parametrize("how", ["in its place", "configured"])
def test_workers_use_the_environment_of_their_plugin(tmp_path: Path, how: str) -> None:
    placed = how == "in its place"
    python = make_environment(tmp_path / "home/environments/echo" if placed else tmp_path / "elsewhere")
    workers = {} if placed else {"workers": {"interpreters": {"echo": str(python)}}}

    with served(tmp_path, {**ECHO, **workers}) as server:
        said, engine = ask(server)
        with server.client() as client:
            plugins = {plugin["name"]: plugin for plugin in client.get("/admin/plugins").json()["plugins"]}
    listed = {one["name"]: one for one in json.loads(lmx(tmp_path, "plugins", "list", "--json").stdout)}
    table = lmx(tmp_path, "plugins", "list").stdout
    shown = lmx(tmp_path, "plugins", "info", "echo").stdout

    assert said == "good morning"
    assert engine["interpreter"] == str(python)
    assert plugins["echo"]["interpreter"] == listed["echo"]["interpreter"] == str(python)
    assert listed["fifo"]["interpreter"] is None
    assert f"workers run on {python}" in table
    assert f"interpreter: {python}" in shown


def test_an_interpreter_for_a_plugin_that_is_not_installed_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "config.d").mkdir()
    (tmp_path / "config.d" / "10.yaml").write_text("workers: {interpreters: {ecco: /usr/bin/python3}}\n")

    checked = lmx(tmp_path, "config", "check")

    assert checked.returncode == 1
    assert "10.yaml:1: workers.interpreters.ecco: no such plugin is installed" in checked.stderr
    assert "echo" in checked.stderr


def test_an_unknown_plugin_cannot_be_installed(tmp_path: Path) -> None:
    refused = lmx(tmp_path, "plugins", "install", "ecco", "--isolated")

    assert refused.returncode == 1
    assert "no plugin 'ecco' is installed; did you mean echo?" in refused.stderr


@pytest.mark.slow
def test_a_plugin_is_installed_from_this_checkout_into_an_environment_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "config.d").mkdir()
    done = lmx(tmp_path, "plugins", "install", "echo", "--isolated", "--from", str(ROOT))
    assert done.returncode == 0, done.stderr

    with served(tmp_path, ECHO) as server:
        said, engine = ask(server)

    python = tmp_path / "home/environments/echo/bin/python"
    assert done.stdout == f"workers of echo run on {python} from the next start of the server on\n"
    assert (said, engine["interpreter"]) == ("good morning", str(python))
