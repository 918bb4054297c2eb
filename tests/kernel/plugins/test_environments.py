from pathlib import Path

import pytest

from environments import make_environment, packages_of
from lmx.plugins import PluginRecord, Status, discover, interpreters
from lmx.plugins.environments import can_import, environment_of
from plugin_folder import PluginFolder

NEEDY = """
    @hookimpl
    def lmx_requires():
        return [Requires(modules=["special_engine.core"], extra="special")]

    @hookimpl
    def lmx_backends():
        return [BackendSpec(name="b", level="text", formats=frozenset(), capabilities=frozenset(), load=None)]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PluginFolder:
    (tmp_path / "plugins").mkdir()
    return PluginFolder(tmp_path / "plugins", monkeypatch)


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """An environment that has what the plugin requires; importing it would be an error."""
    python = make_environment(tmp_path / "environment", bare=True)
    package = packages_of(tmp_path / "environment") / "special_engine"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('it was imported')")
    (package / "core.py").write_text("raise RuntimeError('it was imported')")
    return python


def found(folder: PluginFolder, interpreter: Path | None) -> PluginRecord:
    own = {"needy": interpreter} if interpreter else {}
    return discover((), folder.entries, own).collect().record("needy")


def test_a_plugin_whose_requirements_are_met_only_there_is_active(folder: PluginFolder, python: Path) -> None:
    folder.add("needy", NEEDY)

    here, there = found(folder, None), found(folder, python)

    assert (here.status, there.status) == (Status.IDLE, Status.ACTIVE)
    assert (here.interpreter, there.interpreter) == (None, python)
    assert [spec.name for spec in there.offers["lmx_backends"]] == ["b"]


def test_a_plugin_whose_environment_lacks_something_is_idle_and_told_how_to_make_it_anew(
    folder: PluginFolder, tmp_path: Path
) -> None:
    folder.add("needy", NEEDY)
    python = make_environment(tmp_path / "empty", bare=True)

    record = found(folder, python)

    assert record.status is Status.IDLE
    assert record.reason == f"cannot find special_engine.core in the environment of {python}"
    assert record.advice == "`lmx plugins install needy --isolated`"


def test_an_interpreter_that_is_not_there_makes_a_plugin_idle(folder: PluginFolder, tmp_path: Path) -> None:
    folder.add("needy", NEEDY)

    record = found(folder, tmp_path / "gone")

    assert (record.status, record.reason) == (Status.IDLE, f"there is no {tmp_path / 'gone'}")
    assert "workers.interpreters.needy" in str(record.advice)


def test_a_file_that_cannot_be_run_is_no_interpreter(folder: PluginFolder, tmp_path: Path) -> None:
    folder.add("needy", NEEDY)
    (tmp_path / "python").write_text("no program")

    assert found(folder, tmp_path / "python").reason == f"{tmp_path / 'python'} cannot be executed"


@pytest.mark.parametrize(
    ("module", "there"),
    [("special_engine", True), ("special_engine.core", True), ("special_engine.other", False), ("other", False)],
)
def test_modules_are_looked_up_without_importing_them(python: Path, module: str, *, there: bool) -> None:
    assert can_import(python, module) is there


def test_an_environment_in_its_place_is_used_by_itself_and_the_configuration_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMX_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    made = make_environment(environment_of("vllm"), bare=True)

    assert interpreters(None, ["echo", "vllm"]) == {"vllm": made}
    assert interpreters({"vllm": "~/python", "echo": 7}, ["echo", "vllm"]) == {"vllm": tmp_path / "me/python"}
