"""The launchd agent: what is written, and what launchd is asked."""

import plistlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lmx.service import install, uninstall
from lmx.service.launchd import Launchd
from lmx.service.manager import ServiceFailed, State
from lmx.service.system import Finished
from lmx_hookspecs.errors import NotFound
from service_support import FakeMachine, definition

GONE = Finished(113, "Could not find service")
RUNNING = """\
gui/501/com.opta.lmx = {
	active count = 1
	path = /Users/a/Library/LaunchAgents/com.opta.lmx.plist
	state = running

	program = /usr/bin/caffeinate
	pid = 4242
	immediate reason = speculative
}"""
STOPPED = RUNNING.replace("state = running", "state = spawn scheduled").replace("\tpid = 4242\n", "")


def agent(folder: Path, **answers: Any) -> Launchd:
    return Launchd(FakeMachine(platform="darwin", home=folder, daemons=folder / "daemons", **answers), "lmx")


def test_the_property_list_runs_the_server_awake_and_starts_it_again_when_it_fails(tmp_path: Path) -> None:
    facts = plistlib.loads(agent(tmp_path).text(definition(tmp_path)).encode())

    assert facts == {
        "Label": "com.opta.lmx",
        "ProgramArguments": [
            *("/usr/bin/caffeinate", "-i", "/opt/lmx/bin/python", "-m", "lmx"),
            *("--config-dir", f"{tmp_path}/config.d", "serve"),
        ],
        "WorkingDirectory": f"{tmp_path}/home",
        "EnvironmentVariables": {"LMX_HOME": f"{tmp_path}/home", "PATH": "/usr/bin:/bin"},
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
        "ExitTimeOut": 60,
        "AbandonProcessGroup": False,
        "ProcessType": "Standard",
        "SoftResourceLimits": {"NumberOfFiles": 65_536},
        "StandardOutPath": f"{tmp_path}/home/logs/lmx.log",
        "StandardErrorPath": f"{tmp_path}/home/logs/lmx.log",
    }


def test_it_gets_longer_to_end_than_running_requests_do(tmp_path: Path) -> None:
    facts = plistlib.loads(agent(tmp_path).text(definition(tmp_path, shutdown_grace_s=100.5)).encode())

    assert facts["ExitTimeOut"] == 116


@pytest.mark.parametrize("odd", ["with space", "quo\"te'", "<&>", "ümläut"])
def test_any_path_comes_back_as_it_is(tmp_path: Path, odd: str) -> None:
    facts = plistlib.loads(agent(tmp_path).text(definition(tmp_path, config_dir=tmp_path / odd)).encode())

    assert f"{tmp_path}/{odd}" in facts["ProgramArguments"]


@pytest.mark.skipif(shutil.which("plutil") is None, reason="plutil comes with macOS")
def test_plutil_takes_the_property_list(tmp_path: Path) -> None:
    file = tmp_path / "x.plist"
    file.write_text(agent(tmp_path).text(definition(tmp_path / 'odd "<&>" folder')), encoding="utf-8")

    subprocess.run(["plutil", "-lint", str(file)], check=True)


def test_install_replaces_the_agent_that_was_there_once_it_has_ended(tmp_path: Path) -> None:
    there = Finished(0, RUNNING)
    manager = agent(tmp_path, answers={"launchctl print gui/501/com.opta.lmx": [there, there, GONE]})

    install(manager, definition(tmp_path))

    machine = manager.system
    assert isinstance(machine, FakeMachine)
    assert machine.asked == [
        "launchctl print gui/501",
        "launchctl bootout gui/501/com.opta.lmx",
        *["launchctl print gui/501/com.opta.lmx"] * 3,
        "launchctl enable gui/501/com.opta.lmx",
        f"launchctl bootstrap gui/501 {tmp_path}/Library/LaunchAgents/com.opta.lmx.plist",
    ]
    assert len(machine.pauses) == 2
    assert manager.file.stat().st_mode & 0o022 == 0
    assert (tmp_path / "home" / "logs").stat().st_mode & 0o077 == 0
    assert [file.name for file in manager.file.parent.iterdir()] == ["com.opta.lmx.plist"]


def test_without_a_session_nothing_is_written_and_the_way_out_is_told(tmp_path: Path) -> None:
    manager = agent(tmp_path, answers={"launchctl print gui/501": Finished(125, "Domain does not support")})

    with pytest.raises(ServiceFailed, match=r"log in on the screen of this Mac, .* \(Domain does not support\)"):
        install(manager, definition(tmp_path))

    assert not manager.file.exists()


def test_what_launchd_refuses_is_told_with_its_words(tmp_path: Path) -> None:
    answers = {
        "launchctl print gui/501/com.opta.lmx": GONE,
        "launchctl bootstrap": Finished(5, "Bootstrap failed: 5: Input/output error"),
    }

    with pytest.raises(ServiceFailed, match=r"launchctl bootstrap .*` failed: Bootstrap failed: 5"):
        install(agent(tmp_path, answers=answers), definition(tmp_path))


def test_uninstall_unloads_it_and_removes_the_file(tmp_path: Path) -> None:
    manager = agent(tmp_path, answers={"launchctl print gui/501/com.opta.lmx": GONE})
    install(manager, definition(tmp_path))

    uninstall(manager)

    assert not manager.file.exists()
    with pytest.raises(NotFound, match="no such service is installed"):
        uninstall(manager)


@pytest.mark.parametrize(
    ("printed", "disabled", "state"),
    [
        (Finished(0, RUNNING), "", State(installed=True, enabled=True, running=True, pid=4242, since=5242.0)),
        (Finished(0, STOPPED), '\t\t"com.opta.lmx" => enabled', State(installed=True, enabled=True)),
        (GONE, '\t\t"com.opta.lmx" => disabled', State(installed=True)),
        (GONE, '\t\t"com.opta.lmx" => true', State(installed=True)),
    ],
)
def test_the_state_is_read_from_what_launchd_prints(
    tmp_path: Path, printed: Finished, disabled: str, state: State
) -> None:
    answers = {
        "launchctl print gui/501/com.opta.lmx": printed,
        "launchctl print-disabled": Finished(0, disabled),
    }
    manager = agent(tmp_path, answers=answers)
    manager.file.parent.mkdir(parents=True)
    manager.file.touch()

    assert manager.state() == state


def test_a_daemon_of_the_earlier_system_is_pointed_out(tmp_path: Path) -> None:
    manager = agent(tmp_path)
    (tmp_path / "daemons").mkdir()
    (tmp_path / "daemons" / "com.opta.lmx.plist").touch()

    hints = "\n".join(manager.hints(definition(tmp_path)))

    assert "sudo launchctl bootout system/com.opta.lmx" in hints
    assert f"tail -f '{tmp_path}/home/logs/lmx.log'" in hints
