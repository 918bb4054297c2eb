import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lmx.cli import main
from model_folders import safetensors_model
from serving import Server, served

pytestmark = pytest.mark.usefixtures("home")

ConfigDir = Callable[..., Path]


def test_a_server_lists_every_model(echo_server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["models", "list", "--url", echo_server.url])

    header, *lines = capsys.readouterr().out.splitlines()
    assert status == 0
    assert header.split()[:4] == ["ID", "STATE", "BACKEND", "FORMAT"]
    assert {"echo", "echo-process", "echo-tokens"} <= {line.split()[0] for line in lines}


def test_everything_that_is_known_of_a_model_is_shown(echo_server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["models", "info", "echo", "--url", echo_server.url])

    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert status == 0
    assert (shown["id"], shown["backend"]) == ("echo", "echo")


def test_an_unknown_model_is_status_1_with_what_there_is(
    echo_server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["models", "info", "ecko", "--url", echo_server.url])

    assert status == 1
    assert "did you mean 'echo'" in capsys.readouterr().err


def test_without_a_server_the_models_on_disk_are_listed(
    home: Path, config_dir: ConfigDir, capsys: pytest.CaptureFixture[str]
) -> None:
    safetensors_model(home / "models" / "org" / "name")
    folder = config_dir(models={"directories": [str(home / "models")]})

    status = main(["--config-dir", str(folder), "models", "list"])

    written = capsys.readouterr()
    assert status == 0
    assert any(line.startswith("org/name ") for line in written.out.splitlines())
    assert "no server is running at http://127.0.0.1:" in written.err
    assert "`lmx serve` starts it" in written.err


def test_as_json_the_list_says_that_no_server_runs(
    home: Path, config_dir: ConfigDir, capsys: pytest.CaptureFixture[str]
) -> None:
    safetensors_model(home / "models" / "name")
    folder = config_dir(models={"directories": [str(home / "models")]})

    main(["--config-dir", str(folder), "models", "list", "--json"])

    listed = json.loads(capsys.readouterr().out)
    assert listed["server"] is None
    assert [model["source"] for model in listed["models"] if model["id"] == "name"] == ["folders"]


def test_a_model_of_a_node_is_remote_and_has_no_size(config_dir: ConfigDir, capsys: pytest.CaptureFixture[str]) -> None:
    folder = config_dir(backends={"box": {"url": "http://127.0.0.1:9", "models": ["m"]}})

    main(["--config-dir", str(folder), "models", "list"])

    (row,) = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("box/m ")]
    assert row == ["box/m", "remote", "remote", "remote", "-", "-", "-", "remote"]


def test_what_needs_a_server_says_how_to_start_one(config_dir: ConfigDir, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["--config-dir", str(config_dir()), "models", "info", "echo"])

    assert status == 1
    assert "no server answers at http://127.0.0.1:" in capsys.readouterr().err


def test_the_admin_key_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(tmp_path, {"security": {"admin_key": "open sesame"}}) as server:
        refused = main(["models", "list", "--url", server.url])
        message = capsys.readouterr().err
        monkeypatch.setenv("LMX_ADMIN_KEY", "open sesame")
        accepted = main(["models", "list", "--url", server.url])

    assert (refused, accepted) == (1, 0)
    assert "LMX_ADMIN_KEY" in message
