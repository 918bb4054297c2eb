import sys
from importlib import metadata
from pathlib import Path

import pytest

from lmx_mlx import environment
from lmx_mlx.environment import find_openblas, worker_environment


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "runs_on_cpu", lambda: True)


@pytest.fixture
def unlinked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_linked_openblas", lambda: None)


@pytest.mark.usefixtures("unlinked")
def test_openblas_is_found_in_the_usual_folders(tmp_path: Path) -> None:
    library = tmp_path / "x86_64-linux-gnu" / "openblas-pthread" / "libopenblas.so.0"
    library.parent.mkdir(parents=True)
    library.touch()

    assert find_openblas([tmp_path / "empty", tmp_path]) == library
    assert find_openblas([tmp_path / "empty"]) is None


@pytest.mark.usefixtures("cpu")
def test_the_worker_preloads_openblas_with_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "find_openblas", lambda: Path("/lib/libopenblas.so.0"))
    monkeypatch.setenv("LD_PRELOAD", "/lib/other.so")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)

    assert worker_environment() == {
        "LD_PRELOAD": "/lib/libopenblas.so.0 /lib/other.so",
        "OPENBLAS_NUM_THREADS": "1",
    }


@pytest.mark.usefixtures("cpu")
def test_what_the_operator_exported_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "find_openblas", lambda: Path("/lib/libopenblas.so.0"))
    monkeypatch.setenv("LD_PRELOAD", "/mine/libopenblas64.so")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "4")

    assert worker_environment() == {"LD_PRELOAD": "/mine/libopenblas64.so", "OPENBLAS_NUM_THREADS": "4"}


@pytest.mark.usefixtures("cpu")
def test_without_openblas_the_environment_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "find_openblas", lambda: None)

    assert worker_environment() == {}


@pytest.mark.parametrize(("platform", "has_cpu_build"), [("darwin", False), ("linux", False)])
def test_metal_and_cuda_need_nothing(monkeypatch: pytest.MonkeyPatch, platform: str, has_cpu_build: bool) -> None:
    def distribution(name: str) -> object:
        if has_cpu_build:
            return object()
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(metadata, "distribution", distribution)

    assert worker_environment() == {}
