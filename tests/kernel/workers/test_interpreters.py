"""Workers in a second, real Python environment."""

import os
import shutil
from pathlib import Path

import psutil
import pytest

import lmx
from environments import make_environment, write_path_file
from kernel_support import Log
from lmx.workers import engine_handle
from lmx_hookspecs import ModelInfo
from lmx_hookspecs.errors import EngineFailed, Unavailable
from worker_support import SETTINGS, Started, backend, chat, text_of


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_environment(tmp_path_factory.mktemp("second") / "environment")


def on(interpreter: Path, name: str = "echo-tokens") -> Started:
    started = Started(log=Log())
    started.engine = engine_handle(
        backend(name),
        plugin="echo",
        plugin_config={},
        model=ModelInfo(id=name, format=name),
        settings=SETTINGS(),
        log=started.log,
        on_change=started.change,
        interpreter=interpreter,
    )
    return started


async def test_the_worker_runs_on_the_other_interpreter_and_answers(python: Path) -> None:
    started = on(python)
    await started.engine.start()
    try:
        command = psutil.Process(started.pid).cmdline()
        answer = await text_of(started, chat("one two"))
        described = started.engine.describe()
    finally:
        await started.engine.stop(5)

    assert command[0] == str(python)
    assert answer == "one two"
    assert described["interpreter"] == str(python)


async def test_what_leads_to_our_packages_does_not_lead_the_other_interpreter_there(
    python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lmx_echo.py").write_text("raise RuntimeError('this is of another environment')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    started = on(python)

    await started.engine.start()
    await started.engine.stop(5)

    assert os.environ["PYTHONPATH"] == str(tmp_path)


async def test_another_version_over_there_is_told_with_both_versions_and_what_to_do(tmp_path: Path) -> None:
    python = make_environment(tmp_path / "environment")
    other = tmp_path / "other"
    shutil.copytree(Path(lmx.__file__).parent, other / "lmx", ignore=shutil.ignore_patterns("__pycache__", "_shipped"))
    (other / "lmx" / "__init__.py").write_text('__version__ = "99.7.1"\n')
    write_path_file(tmp_path / "environment", f"import sys; sys.path.insert(0, {str(other)!r})\n", "a_first.pth")
    started = on(python)

    with pytest.raises(Unavailable, match=r"another version of opta-lmx .*opta-lmx 99\.7 instead of") as caught:
        await started.engine.start()

    assert "`lmx plugins install echo --isolated`" in caught.value.message
    assert caught.value.code == "no_engine"


async def test_an_environment_without_lmx_is_told_to_operators(tmp_path: Path) -> None:
    python = make_environment(tmp_path / "environment", bare=True)

    with pytest.raises(EngineFailed, match="the model could not be loaded: the worker exited with 1") as caught:
        await on(python).engine.start()

    detail = caught.value.detail or ""
    assert f"{python} runs no worker: is opta-lmx installed in that environment?" in detail
    assert "`lmx plugins install echo --isolated` makes it anew" in detail
    assert "No module named" in detail


async def test_an_interpreter_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngineFailed, match="no worker process could be started"):
        await on(tmp_path / "gone").engine.start()
