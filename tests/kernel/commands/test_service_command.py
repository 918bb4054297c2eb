"""`lmx service`, with a service manager that only notes down what it is asked."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lmx.cli import main
from lmx.commands import service as command
from lmx.service.system import Finished
from service_support import FakeMachine

ConfigDir = Callable[..., Path]


@pytest.fixture
def machine(home: Path, monkeypatch: pytest.MonkeyPatch) -> FakeMachine:
    machine = FakeMachine(platform="linux", home=home)
    monkeypatch.setattr(command, "System", lambda: machine)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return machine


def test_install_writes_the_unit_for_this_python_and_this_configuration(
    machine: FakeMachine, config_dir: ConfigDir, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = config_dir(server={"shutdown_grace_s": 120})

    status = main(["--config-dir", str(folder), "service", "install"])

    file = machine.home / ".config/systemd/user/lmx.service"
    text = file.read_text(encoding="utf-8")
    assert status == 0
    assert f"ExecStart={sys.executable} -m lmx --config-dir {folder} serve" in text
    assert "TimeoutStopSec=135" in text
    assert machine.asked[-2] == "systemctl --user restart lmx.service"
    assert capsys.readouterr().out.splitlines()[0] == f"wrote {file}"


def test_a_configuration_that_the_server_would_refuse_is_not_installed(
    machine: FakeMachine, config_dir: ConfigDir, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = config_dir(server={"host": "0.0.0.0"}, security={"api_keys": ["k"]})
    monkeypatch.setenv("LMX_SECURITY__ADMIN_KEY", "only-in-this-shell")

    status = main(["--config-dir", str(folder), "service", "install"])

    err = capsys.readouterr().err
    assert status == 1
    assert "security.admin_key is not set" in err
    assert machine.asked == []


def test_variables_that_stay_behind_are_told(
    machine: FakeMachine, config_dir: ConfigDir, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMX_SERVER__PORT", "5")

    main(["--config-dir", str(config_dir()), "service", "install"])

    assert "LMX_SERVER__PORT holds in this shell and not in the service" in capsys.readouterr().err
    assert machine.asked


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_dry_run_shows_everything_and_does_nothing(
    machine: FakeMachine, config_dir: ConfigDir, capsys: pytest.CaptureFixture[str], form: list[str]
) -> None:
    status = main(["--config-dir", str(config_dir()), "service", "install", "--dry-run", *form])

    out = capsys.readouterr().out
    assert status == 0
    assert "ExecStart=" in out
    assert "daemon-reload" in out
    assert machine.asked == []
    assert not (machine.home / ".config").exists()


def test_status_and_uninstall_answer_in_json(
    machine: FakeMachine, config_dir: ConfigDir, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = "ActiveState=active\nUnitFileState=enabled\nMainPID=77"
    machine = FakeMachine(platform="linux", home=machine.home, answers={"systemctl --user show ": Finished(0, shown)})
    folder = str(config_dir())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "System", lambda: machine)
        answers = []
        for words in ("install", "status", "uninstall"):
            main(["--config-dir", folder, "service", words, "--json"])
            answers.append(json.loads(capsys.readouterr().out))

    installed, status, removed = answers
    assert installed["installed"]
    assert any("loginctl enable-linger" in hint for hint in installed["hints"])
    assert status == {
        "manager": "systemd",
        "file": str(machine.home / ".config/systemd/user/lmx.service"),
        "installed": True,
        "enabled": True,
        "running": True,
        "pid": 77,
        "since": 1077.0,
    }
    assert not removed["installed"]


def test_status_says_what_is_missing(machine: FakeMachine, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["service", "status"])

    shown = capsys.readouterr()
    assert status == 0
    assert dict(line.split(maxsplit=1) for line in shown.out.splitlines())["running"] == "no"
    assert "`lmx service install`" in shown.err
    assert machine.asked


def test_uninstalling_what_is_not_there_is_an_error(machine: FakeMachine, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["service", "uninstall"])

    assert status == 1
    assert "no such service is installed" in capsys.readouterr().err
    assert machine.asked == []


def test_a_name_that_is_none_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["service", "status", "--name", "../x"])

    assert end.value.code == 2
    assert "letters, digits" in capsys.readouterr().err
