import json
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from serving import Server, served


@frozen
class Installed:
    """A plugin made from the template, installed into an environment of its own that also sees LMX."""

    project: Path
    python: Path

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [self.python, "-m", *words],
            cwd=self.project.parent,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def parrot(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("template")
    (folder / "config.d").mkdir()
    python = _environment(folder / "venv")
    plugin = Installed(folder / "lmx-green-parrot", python)
    subprocess.run([python, "-m", "lmx", "plugins", "new", "green_parrot", "--directory", folder], check=True)
    # Offline, and quick: the build backend and the dependencies are those that run this test.
    plugin.run("pip", "install", "--quiet", "--no-build-isolation", "--no-deps", "--no-index", str(plugin.project))
    return plugin


def _environment(folder: Path) -> Path:
    """A fresh virtual environment that finds what this one has, by a .pth file; returns its interpreter."""
    venv.create(folder, with_pip=True, symlinks=True)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    ours = sysconfig.get_path("purelib")
    (site_packages / "lmx_under_test.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def server(parrot: Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", str(parrot.python))  # the interpreter that starts the server
        with served(tmp_path_factory.mktemp("parrot-server")) as running:
            yield running


def chat(server: Server, **fields: Any) -> Any:
    body = {"model": "green-parrot", "messages": [{"role": "user", "content": "hello there"}], **fields}
    with server.client() as client:
        return client.post("/v1/chat/completions", json=body)


def test_a_generated_plugin_is_found_where_it_is_installed(parrot: Installed) -> None:
    listed = {plugin["name"]: plugin for plugin in json.loads(parrot.run("lmx", "plugins", "list", "--json"))}

    assert listed["green_parrot"] == {
        "name": "green_parrot",
        "status": "active",
        "distribution": "lmx-green-parrot",
        "version": "0.1.0",
        "hooks": ["lmx_config", "lmx_backends", "lmx_model_sources"],
        "reason": None,
        "advice": None,
        "interpreter": None,
    }


def test_the_tests_of_a_generated_plugin_pass(parrot: Installed) -> None:
    said = parrot.run("pytest", "-q", "-p", "no:cacheprovider", str(parrot.project))

    assert "4 passed" in said


def test_a_generated_plugin_describes_its_keys(parrot: Installed) -> None:
    said = json.loads(parrot.run("lmx", "plugins", "info", "green_parrot", "--json"))

    assert [(key["key"], key["type"], key["default"]) for key in said["keys"]] == [
        ("plugins.green_parrot.exclamation_marks", "int", 1)
    ]


def test_a_generated_plugin_answers_a_chat_over_http(server: Server) -> None:
    answer = chat(server)

    assert answer.status_code == 200, answer.text
    (choice,) = answer.json()["choices"]
    assert choice["message"]["content"] == "HELLO THERE!"
    assert choice["finish_reason"] == "stop"
    assert answer.json()["usage"]["completion_tokens"] == 2


def test_a_generated_plugin_honours_max_tokens(server: Server) -> None:
    answer = chat(server, max_tokens=1)

    (choice,) = answer.json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("HELLO", "length")


def test_what_a_generated_plugin_cannot_do_is_refused_by_name(server: Server) -> None:
    answer = chat(server, seed=1)

    assert answer.status_code == 400
    assert (answer.json()["error"]["code"], answer.json()["error"]["param"]) == ("unsupported_parameter", "seed")
