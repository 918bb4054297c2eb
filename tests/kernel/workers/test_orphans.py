"""What becomes of workers whose kernel is killed."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

PARENT = """
import asyncio, json, sys
import psutil
from worker_support import chat, not_started, pieces_of, until

async def main(backend, misbehaviour):
    started = not_started(backend, **misbehaviour)
    loading = asyncio.create_task(started.engine.start())
    if "fail_load" in misbehaviour:
        await until(lambda: psutil.Process().children())
    else:
        await loading
        request = asyncio.create_task(pieces_of(started, chat()))
        await until(lambda: started.engine.describe()["pending"])
    print("up", flush=True)
    await asyncio.sleep(60)  # no more: also where the test does not come to the kill

asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
"""
TESTS = Path(__file__).parents[2]  # where worker_support is
GONE_WITHIN_S = 10


@pytest.mark.parametrize(
    ("backend", "misbehaviour"),
    [
        ("echo-process", {"delay_ms": 60_000}),
        ("echo-tokens", {"hang_after": 0}),
        ("echo-process", {"fail_load": "hang"}),
    ],
    ids=["in good health", "hanging in a step", "hanging in a load"],
)
def test_no_worker_outlives_a_killed_kernel(backend: str, misbehaviour: Mapping[str, Any]) -> None:
    command = [sys.executable, "-c", PARENT, backend, json.dumps(misbehaviour)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=TESTS) as parent:
        try:
            assert parent.stdout is not None
            assert parent.stdout.readline() == b"up\n"
            workers = psutil.Process(parent.pid).children()
        finally:
            parent.kill()

    assert len(workers) == 1
    psutil.wait_procs(workers, timeout=GONE_WITHIN_S)
    assert not any(is_alive(worker) for worker in workers)


def is_alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False
