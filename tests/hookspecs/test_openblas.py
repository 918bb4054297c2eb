from pathlib import Path

import pytest

from lmx_hookspecs import openblas
from lmx_hookspecs.openblas import find_openblas, preloaded_openblas


def test_openblas_is_found_in_the_usual_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openblas, "_linked_openblas", lambda: None)
    library = tmp_path / "x86_64-linux-gnu" / "openblas-pthread" / "libopenblas.so.0"
    library.parent.mkdir(parents=True)
    library.touch()

    assert find_openblas([tmp_path / "empty", tmp_path]) == library
    assert find_openblas([tmp_path / "empty"]) is None


def test_a_worker_gets_openblas_before_what_is_preloaded_anyway_and_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openblas, "find_openblas", lambda: Path("/lib/libopenblas.so.0"))
    monkeypatch.setenv("LD_PRELOAD", "/lib/other.so")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)

    assert preloaded_openblas() == {
        "LD_PRELOAD": "/lib/libopenblas.so.0 /lib/other.so",
        "OPENBLAS_NUM_THREADS": "1",
    }


def test_what_the_operator_exported_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openblas, "find_openblas", lambda: Path("/lib/libopenblas.so.0"))
    monkeypatch.setenv("LD_PRELOAD", "/mine/libopenblas64.so")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "4")

    assert preloaded_openblas() == {"LD_PRELOAD": "/mine/libopenblas64.so", "OPENBLAS_NUM_THREADS": "4"}


def test_without_openblas_the_environment_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openblas, "find_openblas", lambda: None)

    assert preloaded_openblas() == {}
