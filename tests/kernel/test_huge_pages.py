import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from lmx import huge_pages

SIZE_BYTES = 2**21
PROGRAM = """
from pathlib import Path
from lmx import huge_pages

def huge_bytes():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("AnonHugePages"))

heap = [[number] for number in range(500_000)]
before = huge_bytes()
collapsed = huge_pages.collapse()
assert heap[-1] == [499_999]
print(collapsed, huge_bytes() - before)
"""
MAPS = """\
00400000-00a00000 r-xp 00000000 fe:00 1  /usr/bin/python3
00a00000-00c00000 rw-p 00600000 fe:00 1  /usr/bin/python3
01000000-01600000 rw-p 00000000 00:00 0  [heap]
7f0000100000-7f0000700000 rw-p 00000000 00:00 0
7f0000700000-7f00008fffff rw-p 00000000 00:00 0
7f0000a00000-7f0000c00000 r--p 00000000 00:00 0
7f0000c00000-7f0000e00000 rw-s 00000000 00:01 9  /memfd:shared (deleted)
7ffd00000000-7ffd00400000 rw-p 00000000 00:00 0  [stack]
"""


LAID_OUT = """
from pathlib import Path
from lmx import huge_pages

def mapped():
    lines = Path("/proc/self/maps").read_text().splitlines()
    ranges = [line.split()[0].split("-") for line in lines if len(line.split()) == 5 and line.split()[1] == "rw-p"]
    return max(int(end, 16) - int(begin, 16) for begin, end in ranges)

huge_pages.lay_out({size_bytes})
empty = mapped()
heap = [bytes(400) for _ in range({size_bytes} // 512)]
print(empty, mapped())
"""


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """Those of a system that has huge pages."""
    (tmp_path / "enabled").write_text("always [madvise] never\n")
    (tmp_path / "hpage_pmd_size").write_text(f"{SIZE_BYTES}\n")
    return tmp_path


@pytest.mark.skipif(not huge_pages.SETTINGS.exists(), reason="this system has no huge pages")
def test_a_heap_of_many_pages_becomes_one_of_few() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    collapsed, gained_bytes = map(int, done.stdout.split())

    assert (collapsed == 0) == (gained_bytes == 0)  # a system may have none left
    assert gained_bytes <= collapsed * int((huge_pages.SETTINGS / "hpage_pmd_size").read_text())


@pytest.mark.skipif(not huge_pages.SETTINGS.exists(), reason="this system has no huge pages")
def test_objects_come_into_the_piece_that_was_laid_out_for_them() -> None:
    size_bytes = 24 * 2**20

    program = LAID_OUT.format(size_bytes=size_bytes)
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    laid_out_bytes, filled_bytes = map(int, done.stdout.split())

    assert laid_out_bytes >= size_bytes
    assert filled_bytes <= laid_out_bytes + huge_pages.ARENA_BYTES


def test_nothing_is_laid_out_without_huge_pages(tmp_path: Path) -> None:
    before = len(huge_pages._pins)

    huge_pages.lay_out(settings=tmp_path)

    assert len(huge_pages._pins) == before


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone is asked")
def test_only_whole_pages_of_the_heap_are_asked_for(
    tmp_path: Path, settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []

    class Libc:
        class Madvise:
            argtypes: tuple[type, ...] = ()

            def __call__(self, address: int, size_bytes: int, _advice: int) -> int:
                asked.append((address, size_bytes))
                return -1 if len(asked) == 1 else 0

        madvise = Madvise()

    monkeypatch.setattr(ctypes, "CDLL", lambda _: Libc())
    (tmp_path / "maps").write_text(MAPS)

    assert huge_pages.collapse(tmp_path / "maps", settings) == len(asked) - 1
    assert [place for place, _ in asked] == [0x1000000, 0x1200000, 0x1400000, 0x7F0000200000, 0x7F0000400000]
    assert {size for _, size in asked} == {SIZE_BYTES}


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone is asked")
def test_a_heap_in_pieces_costs_no_more_time_than_it_may(
    tmp_path: Path, settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huge_pages, "BUDGET_S", -1.0)
    (tmp_path / "maps").write_text("10000000-20000000 rw-p 00000000 00:00 0")

    assert huge_pages.collapse(tmp_path / "maps", settings) <= 1


@pytest.mark.parametrize("enabled", ["always madvise [never]", None])
def test_a_system_that_is_to_use_none_is_not_asked(settings: Path, enabled: str | None) -> None:
    (settings / "enabled").unlink()
    if enabled is not None:
        (settings / "enabled").write_text(enabled)

    assert huge_pages.collapse(settings / "no such file", settings) == 0


def test_neither_is_another_one(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")

    assert huge_pages.collapse(settings / "no such file", settings) == 0
