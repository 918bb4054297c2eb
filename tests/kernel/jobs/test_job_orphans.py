"""What becomes of jobs whose kernel is killed."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

PARENT = """
import asyncio, sys
from pathlib import Path

import pytest
from job_support import install, opened

async def main(folder, name):
    with pytest.MonkeyPatch.context() as monkeypatch:
        async with opened(install(folder, monkeypatch)) as desk:
            await desk.hanging(name, path=str(folder / "begun"))
            print("up", flush=True)
            await asyncio.sleep(60)  # no more: also where the test does not come to the kill

asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""
TESTS = Path(__file__).parents[2]  # where job_support is
GONE_WITHIN_S = 10


@pytest.mark.parametrize("name", ["hang", "resist"])
def test_no_job_outlives_a_killed_kernel(tmp_path: Path, name: str) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path), name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=TESTS) as parent:
        try:
            assert parent.stdout is not None
            assert parent.stdout.readline() == b"up\n"
            processes = psutil.Process(parent.pid).children()
        finally:
            parent.kill()

    assert len(processes) == 1
    _, left = psutil.wait_procs(processes, timeout=GONE_WITHIN_S)
    assert [process for process in left if process.status() != psutil.STATUS_ZOMBIE] == []
    assert not (tmp_path / "begun").exists()
