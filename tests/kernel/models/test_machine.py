from collections.abc import Callable
from pathlib import Path

import pytest

from kernel_support import GB, MachineMemory
from lmx.models.machine import Machine, wired_limit_bytes
from lmx_hookspecs.control_groups import control_groups


def written(root: Path, folder: str, **files: object) -> None:
    (root / folder).mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (root / folder / name.replace("__", ".")).write_text(f"{value}\n")


def machine(tmp_path: Path, membership: str) -> Machine:
    (tmp_path / "cgroup").write_text(membership)
    groups = control_groups(tmp_path / "cgroup", tmp_path / "sys")
    return Machine(virtual_memory=MachineMemory, groups=groups, gpu_limit_bytes=0)


def test_without_control_groups_the_machine_is_what_the_system_says() -> None:
    bare = Machine(virtual_memory=MachineMemory, groups=(), gpu_limit_bytes=0)

    assert (bare.total_bytes(), bare.available_bytes()) == (64 * GB, 64 * GB)


def test_the_tightest_group_on_the_way_up_limits_the_machine(tmp_path: Path) -> None:
    sys = tmp_path / "sys"
    written(sys, "a/b", memory__max="max", memory__current=3 * GB)
    written(sys, "a", memory__max=16 * GB, memory__current=10 * GB, memory__stat=f"anon 1\ninactive_file {2 * GB}")
    written(sys, ".", memory__max=32 * GB, memory__current=10 * GB)

    limited = machine(tmp_path, "0::/a/b\n")

    assert limited.total_bytes() == 16 * GB
    assert limited.available_bytes() == 8 * GB


def test_the_first_version_of_control_groups_is_read_as_well(tmp_path: Path) -> None:
    written(
        tmp_path / "sys",
        "memory/box",
        memory__limit_in_bytes=8 * GB,
        memory__usage_in_bytes=5 * GB,
        memory__stat=f"inactive_file 7\ntotal_inactive_file {GB}",
    )
    written(tmp_path / "sys", "memory", memory__limit_in_bytes=9223372036854771712, memory__usage_in_bytes=20 * GB)

    limited = machine(tmp_path, "3:cpuset:/box\n4:cpu,memory:/box\n0::/\n")

    assert [group.limit_bytes() for group in limited.groups[:2]] == [8 * GB, None]
    assert (limited.total_bytes(), limited.available_bytes()) == (8 * GB, 4 * GB)


def test_a_path_of_the_host_that_a_container_does_not_see_leaves_the_group_at_its_root(tmp_path: Path) -> None:
    written(tmp_path / "sys", ".", memory__max=4 * GB, memory__current=5 * GB)

    limited = machine(tmp_path, "0::/../docker/abc\n")

    assert (limited.total_bytes(), limited.available_bytes()) == (4 * GB, 0)


def test_a_system_without_control_groups_has_none(tmp_path: Path) -> None:
    assert control_groups(tmp_path / "nothing", tmp_path) == []


def test_the_real_machine_has_memory() -> None:
    real = Machine()

    assert 0 < real.available_bytes() <= real.total_bytes()
    assert 0 < real.budget_bytes(90) < real.total_bytes()


def failing() -> str:
    raise FileNotFoundError("sysctl")


@pytest.mark.parametrize(
    ("ask", "limit_bytes"),
    [(lambda: "49152\n", 48 * 2**30), (lambda: "0\n", 0), (lambda: "unknown oid\n", 0), (failing, 0)],
)
def test_the_limit_that_somebody_set_for_the_gpu_is_read(ask: Callable[[], str], limit_bytes: int) -> None:
    assert wired_limit_bytes(ask) == limit_bytes


def test_the_budget_is_a_share_of_the_machine_but_never_beyond_the_gpus_limit() -> None:
    free = Machine(virtual_memory=MachineMemory, groups=(), gpu_limit_bytes=0)
    wired = Machine(virtual_memory=MachineMemory, groups=(), gpu_limit_bytes=48 * GB)

    assert (free.budget_bytes(50), free.budget_bytes(90)) == (32 * GB, 57_600_000_000)
    assert (wired.budget_bytes(50), wired.budget_bytes(90)) == (32 * GB, 48 * GB)
