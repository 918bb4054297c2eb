import sys
from importlib import metadata

import pytest

from lmx_hookspecs.cores import usable_cores
from lmx_hookspecs.preloads import mlx_cpu_environment
from lmx_mlx import environment
from lmx_mlx.environment import worker_environment


def test_the_build_for_the_cpu_gets_what_makes_it_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "runs_on_cpu", lambda: True)

    assert worker_environment() == mlx_cpu_environment(blas_threads=usable_cores())


@pytest.mark.parametrize(("platform", "has_cpu_build"), [("darwin", True), ("linux", False)])
def test_metal_and_cuda_need_nothing(monkeypatch: pytest.MonkeyPatch, platform: str, has_cpu_build: bool) -> None:
    def distribution(name: str) -> object:
        if has_cpu_build:
            return object()
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(metadata, "distribution", distribution)

    assert worker_environment() == {}
