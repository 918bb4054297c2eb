"""The commands, as programs, against a running server and without one."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from serving import Server


def lmx(*words: str, cwd: Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lmx", *words],
        capture_output=True,
        text=True,
        input=stdin if stdin is not None else "",
        cwd=cwd,
        timeout=120,
        check=False,
    )


def test_chat_starts_a_server_of_its_own_when_none_runs(tmp_path: Path) -> None:
    (tmp_path / "config.d").mkdir()
    (tmp_path / "config.d" / "10.yaml").write_text("server: {port: 1}\n")  # nobody listens there

    done = lmx("chat", "How do I list the plugins?", "--temperature", "0", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "lmx plugins list" in done.stdout


def test_chat_talks_to_the_server_at_the_given_url(tiny_server: Server, tmp_path: Path) -> None:
    done = lmx("chat", "How do I list the plugins?", "--temperature", "0", "--url", tiny_server.url, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "lmx plugins list" in done.stdout


def test_chat_reads_the_message_from_a_pipe(tiny_server: Server, tmp_path: Path) -> None:
    done = lmx("chat", "--temperature", "0", "--url", tiny_server.url, cwd=tmp_path, stdin="How do I list the plugins?")

    assert done.returncode == 0, done.stderr
    assert "lmx plugins list" in done.stdout


def test_chat_with_an_unknown_model_names_those_that_there_are(tiny_server: Server, tmp_path: Path) -> None:
    done = lmx("chat", "hi", "--model", "nope", "--url", tiny_server.url, cwd=tmp_path)

    assert done.returncode == 1
    assert "lmx-tiny" in done.stderr


def test_chat_without_a_server_at_the_url_says_so(tmp_path: Path) -> None:
    done = lmx("chat", "hi", "--url", "http://127.0.0.1:9", cwd=tmp_path)

    assert done.returncode == 1
    assert done.stderr.startswith("lmx: ")
    assert "Traceback" not in done.stderr


def test_models_are_listed_with_their_states(tiny_server: Server, tmp_path: Path) -> None:
    done = lmx("models", "list", "--json", "--url", tiny_server.url, cwd=tmp_path)

    states = {model["id"]: model["state"] for model in json.loads(done.stdout)["models"]}
    assert states["lmx-tiny"] == "ready"
    assert states["lmx-tiny-gguf"] == ("on_disk" if find_spec("llama_cpp") else "no_engine")


@pytest.mark.parametrize("words", [("version",), ("plugins", "list"), ("config", "show"), ("doctor",)])
def test_every_listing_has_a_json_form(words: tuple[str, ...], tmp_path: Path) -> None:
    done = lmx(*words, "--json", cwd=tmp_path)

    assert json.loads(done.stdout)


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("serf",), 2, "lmx serve"),
        (("--config-dir", "nowhere", "config", "check"), 1, "nowhere"),
        (("plugins", "info", "nope"), 1, "nope"),
        (("plugins", "new", "Not A Name"), 1, "name"),
    ],
)
def test_mistakes_end_with_a_status_and_a_hint(words: tuple[str, ...], status: int, told: str, tmp_path: Path) -> None:
    done = lmx(*words, cwd=tmp_path)

    assert done.returncode == status
    assert told in done.stderr
    assert "Traceback" not in done.stderr
