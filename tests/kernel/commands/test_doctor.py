import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from environments import make_environment
from lmx.cli import main
from lmx.commands import machine_checks, setup_checks
from lmx.commands.findings import Verdict
from lmx.plugins.environments import environment_of
from model_folders import safetensors_model
from plugin_folder import PluginFolder, backend
from serving import Server

ConfigDir = Callable[..., Path]
Doctor = Callable[[Path], dict[str, Any]]


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Runs the doctor and gives each finding by what was checked, and the exit status."""

    def run(folder: Path) -> dict[str, Any]:
        status = main(["--config-dir", str(folder), "doctor", "--json"])
        findings = json.loads(capsys.readouterr().out)["findings"]
        return {"status": status, **{finding["check"]: finding for finding in findings}}

    return run


def test_every_part_is_looked_at(home: Path, config_dir: ConfigDir, doctor: Doctor) -> None:
    safetensors_model(home / "models" / "name")
    folder = config_dir(models={"directories": [str(home / "models")]})

    found = doctor(folder)

    parts = {"python", "platform", "engines", "memory", "home", "disk", "config", "plugins", "model folder", "models"}
    assert parts <= found.keys()
    assert found["home"]["seen"] == str(home / "home")
    assert found["model folder"]["verdict"] == "ok"


def test_every_finding_that_is_not_ok_says_what_to_do(config_dir: ConfigDir, doctor: Doctor) -> None:
    found = doctor(config_dir())

    findings = [finding for name, finding in found.items() if name != "status"]
    assert all(finding["advice"] for finding in findings if finding["verdict"] != "ok")


def test_for_people_advice_stands_below_what_it_is_about(
    config_dir: ConfigDir, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = config_dir(models={"directories": ["/no/such/folder"]})

    status = main(["--config-dir", str(folder), "doctor"])

    lines = capsys.readouterr().out.splitlines()
    place = lines.index("FAIL model folder: /no/such/folder does not exist")
    assert status == 1
    assert lines[place + 1] == "     → create it, or mend models.directories"


def test_a_broken_configuration_fails_and_the_machine_is_looked_at_all_the_same(
    config_dir: ConfigDir, doctor: Doctor
) -> None:
    found = doctor(config_dir(server={"prt": 1}))

    assert found["status"] == 1
    assert found["config"]["verdict"] == "fail"
    assert "prt" in found["config"]["seen"]
    assert "memory" in found
    assert "plugins" not in found


def test_a_check_that_breaks_is_a_finding_and_the_others_go_on(
    config_dir: ConfigDir, doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = 'environment=lambda: {}["missing"]'
    PluginFolder(tmp_path, monkeypatch).add("odd", backend("odd").replace("load=None", f"load=None, {source}"))
    monkeypatch.setattr(setup_checks, "installed_version", lambda _name: "0.0")

    found = doctor(config_dir(plugins={"mlx": {"enabled": False}}))

    assert found["preloads"]["seen"] == "the check broke: KeyError('missing')"
    assert "port" in found


def test_a_scheduler_that_nobody_offers_is_a_failure(config_dir: ConfigDir, doctor: Doctor) -> None:
    found = doctor(config_dir(scheduling={"policy": "unheard-of"}))

    assert found["status"] == 1
    assert "unheard-of" in found["models"]["seen"]


def test_a_port_of_another_program_is_a_failure(config_dir: ConfigDir, doctor: Doctor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.listen()
        folder = config_dir(server={"port": other.getsockname()[1]})
        other.settimeout(0)

        found = doctor(folder)

    assert found["port"]["verdict"] == "fail"
    assert "in use" in found["port"]["seen"]


def test_a_server_that_runs_already_is_fine(echo_server: Server, config_dir: ConfigDir, doctor: Doctor) -> None:
    port = int(echo_server.url.rpartition(":")[2])

    found = doctor(config_dir(server={"port": port}))

    assert (found["port"]["verdict"], found["port"]["seen"]) == ("ok", f"LMX answers at {echo_server.url}")


def test_a_home_below_a_file_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LMX_HOME", str(tmp_path / "file" / "home"))

    (finding,) = machine_checks.home()

    assert finding.verdict is Verdict.FAIL
    assert "set LMX_HOME" in finding.advice


@pytest.mark.parametrize(
    ("text", "limit_bytes"), [("max\n", None), ("1073741824\n", 1073741824), ("9223372036854771712\n", None)]
)
def test_the_limit_of_a_container_counts_when_it_is_below_what_the_machine_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, limit_bytes: int | None
) -> None:
    limit_file = tmp_path / "memory.max"
    limit_file.write_text(text)
    monkeypatch.setattr(machine_checks, "CGROUP_LIMITS", (tmp_path / "missing", limit_file))

    assert machine_checks.cgroup_limit_bytes(64 * 1024**3) == limit_bytes


def test_an_engine_that_cannot_start_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mlx").mkdir()
    (tmp_path / "mlx" / "__init__.py").write_text("")
    (tmp_path / "mlx" / "core.py").write_text("raise ImportError('no Metal here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    finding = machine_checks.mlx_device()

    assert finding.verdict is Verdict.FAIL
    assert finding.seen == "ImportError: no Metal here"


def test_engines_in_environments_of_their_own_count(
    config_dir: ConfigDir, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_environment(environment_of("vllm"), bare=True)
    monkeypatch.setattr(machine_checks, "installed_version", lambda _: None)

    found = doctor(config_dir())

    assert (found["environments"]["verdict"], found["environments"]["seen"]) == ("ok", "of their own: vllm")
    assert "engines" not in found


@pytest.mark.parametrize(
    ("preloaded", "installed", "verdict", "said"),
    [
        ("/lib/libjemalloc.so.2", "/lib/libjemalloc.so.2", Verdict.OK, "use /lib/libjemalloc.so.2"),
        ("/mine/libtcmalloc.so.4", None, Verdict.OK, "use /mine/libtcmalloc.so.4"),
        (
            "/lib/libopenblas.so.0",
            "/lib/libjemalloc.so.2",
            Verdict.WARN,
            "no program starts with /lib/libjemalloc.so.2",
        ),
        ("", None, Verdict.WARN, "no jemalloc"),
    ],
)
def test_the_allocator_that_workers_get_is_told(
    preloaded: str, installed: str | None, verdict: Verdict, said: str
) -> None:
    jemalloc = evolve(setup_checks.PRELOADS[1], find=lambda: Path(installed) if installed else None)

    finding = setup_checks._preloaded(jemalloc, {"mlx": preloaded.split()})

    assert finding.verdict is verdict
    assert said in finding.seen


def test_a_library_that_works_and_that_no_backend_takes_is_not_called_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup_checks, "can_be_preloaded", lambda _library: True)
    openblas = evolve(setup_checks.PRELOADS[0], find=lambda: Path("/lib/libopenblas.so.0"))

    finding = setup_checks._preloaded(openblas, {"gguf": []})

    assert finding.verdict is Verdict.OK
    assert "no active backend takes it" in finding.seen
