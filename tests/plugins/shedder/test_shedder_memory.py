from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from lmx_hookspecs.control_groups import control_groups
from lmx_shedder.config import ShedderConfig
from lmx_shedder.memory import (
    FREE_SHARE,
    PRESSURE_LEVEL,
    check_memory,
    mac_percent,
    memory_reader,
    read_once,
)


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def percents(tmp_path: Path, membership: str) -> list[float]:
    (tmp_path / "membership").write_text(membership)
    return [group.used_percent() for group in control_groups(tmp_path / "membership", tmp_path / "cgroup")]


def test_a_group_is_measured_against_its_limit_without_the_cache_that_would_make_way(tmp_path: Path) -> None:
    inner = tmp_path / "cgroup" / "lmx.slice" / "server"
    write(inner, memory__max="1000\n", memory__current="900\n", memory__stat="anon 500\ninactive_file 300\nother x y\n")
    write(inner.parent, memory__max="max\n", memory__current="5000\n", memory__stat="")

    assert percents(tmp_path, "0::/lmx.slice/server\n") == [60.0, 0.0, 0.0]


def test_groups_of_version_1_are_read_too(tmp_path: Path) -> None:
    folder = tmp_path / "cgroup" / "memory" / "docker"
    files = {"memory__limit_in_bytes": "200", "memory__usage_in_bytes": "150", "memory__stat": "total_inactive_file 50"}
    write(folder, **files)

    assert percents(tmp_path, "5:cpu,cpuacct:/docker\n4:memory:/docker\n") == [50.0, 0.0]


@pytest.mark.parametrize("membership", ["", "0::/../../seen/from/outside\n"])
def test_where_no_group_can_be_read_none_sets_a_limit(tmp_path: Path, membership: str) -> None:
    assert not any(percents(tmp_path, membership))


@pytest.mark.parametrize("files", [{"memory__max": "0"}, {"memory__max": "100"}, {"memory__current": "100"}])
def test_half_a_group_says_nothing(tmp_path: Path, files: Mapping[str, str]) -> None:
    write(tmp_path / "cgroup", **files)

    assert percents(tmp_path, "0::/\n") == [0.0]


@pytest.mark.parametrize(
    ("numbers", "percent"),
    [
        ({PRESSURE_LEVEL: 1, FREE_SHARE: 70}, 30.0),
        ({PRESSURE_LEVEL: 2, FREE_SHARE: 46}, 54.0),
        ({PRESSURE_LEVEL: 4, FREE_SHARE: 46}, 100.0),
        ({FREE_SHARE: 3}, 97.0),
        ({PRESSURE_LEVEL: 1}, 12.5),
        ({}, 12.5),
    ],
)
def test_macos_is_believed_before_any_estimate(numbers: Mapping[str, int], percent: float) -> None:
    assert mac_percent(numbers.get, lambda: 12.5) == percent


def test_this_machine_has_some_memory_in_use() -> None:
    assert 0 < read_once() <= 100


def test_elsewhere_the_machine_itself_is_asked() -> None:
    memory = psutil.virtual_memory()

    percent = memory_reader("win32")()

    assert percent >= 100 * (memory.total - memory.available) / memory.total - 10


@pytest.mark.parametrize(("percent", "ok"), [(94.0, True), (95.0, False)])
async def test_the_health_check_says_what_is_in_use_and_what_to_do(percent: float, ok: bool) -> None:
    health = await check_memory(ShedderConfig(), lambda: percent)

    assert health.ok is ok
    assert health.detail.startswith(f"{percent:.0f} % of the memory is in use")
    assert ("unload a model" in health.detail) is not ok
