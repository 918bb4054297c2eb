"""The systemd user unit: what is written, and what systemd is asked."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lmx.service import install, uninstall
from lmx.service.manager import ServiceFailed, State
from lmx.service.system import Finished
from lmx.service.systemd import Systemd, quoted
from lmx.state.safe_mode import LIMIT, WINDOW_S
from lmx_hookspecs.errors import ConfigError
from service_support import FakeMachine, definition

NASTY = 'a "quoted" 100% $HOME folder\\'


@pytest.fixture(autouse=True)
def no_other_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


def unit(folder: Path, name: str = "lmx", **answers: Any) -> Systemd:
    return Systemd(FakeMachine(platform="linux", home=folder, **answers), name)


def keys_of(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))


def test_the_unit_runs_the_server_and_starts_it_again_when_it_fails(tmp_path: Path) -> None:
    keys = keys_of(unit(tmp_path).text(definition(tmp_path)))

    assert keys["ExecStart"] == f"/opt/lmx/bin/python -m lmx --config-dir {tmp_path}/config.d serve"
    assert keys["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert keys["Environment"] == f"LMX_HOME={tmp_path}/home PATH=/usr/bin:/bin"
    assert (keys["Type"], keys["Restart"], keys["KillMode"]) == ("exec", "on-failure", "mixed")
    assert (keys["TimeoutStopSec"], keys["LimitNOFILE"]) == ("60", "65536")
    assert keys["WorkingDirectory"] == f"{tmp_path}/home"


def test_safe_mode_comes_before_systemd_gives_up(tmp_path: Path) -> None:
    keys = keys_of(unit(tmp_path).text(definition(tmp_path)))

    assert int(keys["StartLimitBurst"]) > LIMIT + 1
    assert int(keys["RestartSec"]) * int(keys["StartLimitBurst"]) < WINDOW_S


def test_words_are_quoted_as_systemd_reads_them(tmp_path: Path) -> None:
    facts = {"config_dir": Path("/x") / NASTY, "home": Path("/y 100%"), "environment": {"LMX_HOME": f"/{NASTY}"}}
    keys = keys_of(unit(tmp_path).text(definition(tmp_path, **facts)))

    assert r'"/x/a \"quoted\" 100%% $$HOME folder\\"' in keys["ExecStart"]
    assert keys["Environment"] == r'"LMX_HOME=/a \"quoted\" 100%% $HOME folder\\"'
    assert keys["WorkingDirectory"] == "/y 100%%"
    assert quoted("plain/word.txt") == "plain/word.txt"
    assert quoted("two\nlines\t") == r'"two\nlines\t"'


def test_a_program_that_systemd_cannot_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="for its `\\$`"):
        unit(tmp_path).text(definition(tmp_path, python=Path("/a$b/python")))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("odd", ["plain", "with space", NASTY])
def test_systemd_takes_the_unit(tmp_path: Path, odd: str) -> None:
    folder = tmp_path / odd
    (folder / "home").mkdir(parents=True)
    file = tmp_path / "lmx.service"
    file.write_text(unit(tmp_path).text(definition(folder, python=Path(sys.executable))), encoding="utf-8")

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(file)], capture_output=True, text=True, check=False, timeout=60
    )

    assert "lmx.service" not in done.stderr


def test_install_writes_the_unit_and_starts_it_anew(tmp_path: Path) -> None:
    manager = unit(tmp_path, name="second")

    install(manager, definition(tmp_path))

    machine = manager.system
    assert isinstance(machine, FakeMachine)
    assert machine.asked == [
        "systemctl --user show-environment",
        "systemctl --user daemon-reload",
        "systemctl --user enable second.service",
        "systemctl --user reset-failed second.service",
        "systemctl --user restart second.service",
    ]
    assert manager.file == tmp_path / ".config/systemd/user/second.service"
    assert manager.file.read_text(encoding="utf-8") == manager.text(definition(tmp_path))


def test_units_are_where_the_users_configuration_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "elsewhere"))

    assert unit(tmp_path).file == tmp_path / "elsewhere/systemd/user/lmx.service"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Finished(1, "Failed to connect to bus: No medium found"), r"in a container run `lmx serve` .*No medium found"),
        (Finished(127, "systemctl: No such file or directory"), "this machine does not run systemd"),
    ],
)
def test_without_systemd_nothing_is_written_and_the_way_out_is_told(
    tmp_path: Path, answer: Finished, told: str
) -> None:
    manager = unit(tmp_path, answers={"systemctl": answer})

    with pytest.raises(ServiceFailed, match=told):
        install(manager, definition(tmp_path))

    assert not manager.file.exists()


def test_uninstall_stops_it_and_removes_the_file(tmp_path: Path) -> None:
    manager = unit(tmp_path)
    install(manager, definition(tmp_path))
    machine = manager.system
    assert isinstance(machine, FakeMachine)
    machine.asked.clear()

    uninstall(manager)

    assert not manager.file.exists()
    assert machine.asked == [
        "systemctl --user show-environment",
        "systemctl --user disable --now lmx.service",
        "systemctl --user daemon-reload",
        "systemctl --user reset-failed lmx.service",
    ]


@pytest.mark.parametrize(
    ("shown", "state"),
    [
        (
            "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nMainPID=77",
            State(installed=True, enabled=True, running=True, pid=77, since=1077.0),
        ),
        (
            "LoadState=loaded\nActiveState=failed\nUnitFileState=disabled\nMainPID=0",
            State(installed=True),
        ),
        ("Failed to connect to bus: No medium found", State(installed=True)),
    ],
)
def test_the_state_is_read_from_the_units_properties(tmp_path: Path, shown: str, state: State) -> None:
    manager = unit(tmp_path, answers={"systemctl --user show lmx.service": Finished(0, shown)})
    manager.file.parent.mkdir(parents=True)
    manager.file.touch()

    assert manager.state() == state


@pytest.mark.parametrize(("linger", "hints"), [("Linger=no", 2), ("", 2), ("Linger=yes", 1)])
def test_lingering_is_recommended_until_it_is_on(tmp_path: Path, linger: str, hints: int) -> None:
    manager = unit(tmp_path, answers={"loginctl": Finished(0, linger)})

    assert len(manager.hints(definition(tmp_path))) == hints
