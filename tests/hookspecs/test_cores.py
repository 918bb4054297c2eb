import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from lmx_hookspecs import cores
from lmx_hookspecs.control_groups import cpu_quotas
from lmx_hookspecs.cores import usable_cores


@pytest.fixture(autouse=True)
def _a_machine_of_eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_count", lambda *, logical: 16 if logical else 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(16)), raising=False)
    monkeypatch.setattr(cores, "cpu_quotas", list)
    monkeypatch.setattr(sys, "platform", "linux")


def test_threads_of_one_core_count_once() -> None:
    assert usable_cores() == 8


def test_cores_that_this_process_may_not_run_on_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1, 2}, raising=False)

    assert usable_cores() == 3


@pytest.mark.parametrize(("quotas", "usable"), [([2.0, 4.0], 2), ([1.5], 1), ([0.5], 1)])
def test_a_container_has_the_cores_that_its_quota_pays_for(
    monkeypatch: pytest.MonkeyPatch, quotas: list[float], usable: int
) -> None:
    monkeypatch.setattr(cores, "cpu_quotas", lambda: quotas)

    assert usable_cores() == usable


@pytest.mark.parametrize(("answer", "usable"), [("4\n", 4), ("", 8)])
def test_apple_silicon_counts_its_performance_cores(monkeypatch: pytest.MonkeyPatch, answer: str, usable: int) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 0, stdout=answer))

    assert usable_cores() == usable


@pytest.mark.parametrize(("text", "quotas"), [("150000 100000\n", [1.5]), ("max 100000\n", []), (None, [])])
def test_the_quota_of_the_second_version(tmp_path: Path, text: str | None, quotas: list[float]) -> None:
    membership, group = tmp_path / "cgroup", tmp_path / "tree" / "a" / "b"
    membership.write_text("0::/a/b\n")
    group.mkdir(parents=True)
    if text is not None:
        (group.parent / "cpu.max").write_text(text)

    assert cpu_quotas(membership, tmp_path / "tree") == quotas


@pytest.mark.parametrize(("quota", "quotas"), [("400000", [4.0]), ("-1", [])])
def test_the_quota_of_the_first_version(tmp_path: Path, quota: str, quotas: list[float]) -> None:
    membership, group = tmp_path / "cgroup", tmp_path / "tree" / "cpu" / "docker"
    membership.write_text("3:cpu,cpuacct:/docker\n2:memory:/docker\n")
    group.mkdir(parents=True)
    (group / "cpu.cfs_quota_us").write_text(quota)
    (group / "cpu.cfs_period_us").write_text("100000")

    assert cpu_quotas(membership, tmp_path / "tree") == quotas
