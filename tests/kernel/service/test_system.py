"""The seam itself, against real programs."""

import os
import sys
from pathlib import Path

import pytest

from lmx.service import manager_for
from lmx.service.definition import left_out, service_environment
from lmx.service.system import Finished, System
from lmx_hookspecs.errors import ConfigError
from service_support import FakeMachine, definition


def test_a_program_is_run_to_its_end_with_what_it_printed() -> None:
    script = "import sys; print('out', flush=True); print('err', file=sys.stderr); sys.exit(3)"

    assert System().run([sys.executable, "-c", script]) == Finished(3, "out\nerr")


def test_a_program_that_is_not_there_ends_as_in_a_shell() -> None:
    assert System().run(["/no/such/program"]) == Finished(127, "/no/such/program: No such file or directory")


def test_the_start_of_a_process_is_known_and_that_of_a_gone_one_is_not() -> None:
    assert (System().started_at(os.getpid()) or 0) > 0
    assert System().started_at(2**22 + 1) is None


@pytest.mark.parametrize(("platform", "kind"), [("darwin", "launchd"), ("linux", "systemd")])
def test_each_system_has_its_manager(platform: str, kind: str) -> None:
    assert manager_for(FakeMachine(platform=platform), "lmx").kind == kind


def test_other_systems_are_told_apart() -> None:
    with pytest.raises(ConfigError, match="no service manager for win32"):
        manager_for(FakeMachine(platform="win32"), "lmx")


def test_a_service_gets_few_variables_and_never_a_key(tmp_path: Path) -> None:
    shell = {
        "PATH": "/home/me/bin",
        "LMX_ADMIN_KEY": "hush",
        "LMX_SECURITY__ADMIN_KEY": "hush",
        "LMX_SERVER__PORT": "5",
        "HF_TOKEN": "hush",
        "HF_HOME": "/models",
    }

    variables = service_environment(shell, tmp_path)

    assert variables.keys() == {"LMX_HOME", "PATH", "PYTHONUNBUFFERED", "HF_HOME"}
    assert variables["PATH"].startswith(f"{Path(sys.executable).parent}:")
    assert left_out(shell) == ["LMX_SECURITY__ADMIN_KEY", "LMX_SERVER__PORT"]


def test_without_a_configuration_folder_the_server_looks_for_one_itself(tmp_path: Path) -> None:
    assert definition(tmp_path, config_dir=None).words[-2:] == ["lmx", "serve"]
