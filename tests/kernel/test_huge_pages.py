import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from lmx import huge_pages

SUPPORTED = Path("/sys/kernel/mm/transparent_hugepage").exists()
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


@pytest.mark.skipif(not SUPPORTED, reason="this system has no huge pages")
def test_a_heap_of_many_pages_becomes_one_of_few() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    collapsed, gained_bytes = map(int, done.stdout.split())

    assert collapsed >= 5 or (collapsed, gained_bytes) == (0, 0)  # a system may refuse, or have none left
    assert gained_bytes <= collapsed * huge_pages.SIZE_BYTES


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone is asked")
def test_only_whole_pages_of_the_heap_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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

    assert huge_pages.collapse(tmp_path / "maps") == len(asked) - 1
    assert [place for place, _ in asked] == [0x1000000, 0x1200000, 0x1400000, 0x7F0000200000, 0x7F0000400000]
    assert {size for _, size in asked} == {huge_pages.SIZE_BYTES}


def test_another_system_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")

    assert huge_pages.collapse(tmp_path / "no such file") == 0
