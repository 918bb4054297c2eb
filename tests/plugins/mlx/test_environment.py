import sys
from importlib import metadata
from pathlib import Path

import mlx.core as mx
import pytest

from lmx_mlx import environment
from lmx_mlx.environment import find_openblas, resident_bytes, worker_environment
from mlx_support import info_of, write_model


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


@pytest.mark.usefixtures("cpu")
def test_sixteen_bit_weights_count_twice_on_the_cpu(tmp_path: Path) -> None:
    half = write_model(tmp_path / "half", dtype=mx.float16)
    full = write_model(tmp_path / "full")

    assert resident_bytes(info_of(half)) == resident_bytes(info_of(full))
    assert resident_bytes(info_of(half)) == pytest.approx(2 * info_of(half).size_bytes, rel=0.05)


@pytest.mark.usefixtures("cpu")
def test_quantised_and_damaged_weights_count_as_they_are(tmp_path: Path) -> None:
    quantised = write_model(tmp_path / "quantised", dtype=mx.float16)
    (quantised / "config.json").write_text('{"quantization": {"bits": 4}}')
    damaged = write_model(tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")

    assert resident_bytes(info_of(quantised)) == info_of(quantised).size_bytes
    assert resident_bytes(info_of(damaged)) == info_of(damaged).size_bytes


def test_elsewhere_weights_keep_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "runs_on_cpu", lambda: False)
    half = write_model(tmp_path / "half", dtype=mx.float16)

    assert resident_bytes(info_of(half)) == info_of(half).size_bytes
