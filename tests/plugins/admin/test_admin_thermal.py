import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any, cast

import pytest

import lmx_admin
from lmx_admin.thermal import NAME, check, judged
from lmx_hookspecs import Context, Health

SAMPLE: dict[str, Any] = {
    "timestamp": "2025-02-24T20:38:15.427569+00:00",
    "temp": {"cpu_temp_avg": 43.73614, "gpu_temp_avg": 36.95167},
    "memory": {"ram_total": 25769803776, "ram_usage": 20985479168},
    "all_power": 0.27,
}


def install(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An executable `macmon` as the only one on the path."""
    executable = folder / "macmon"
    executable.write_text(f"#!{sys.executable}\nimport sys, time, os\n{script}\n")
    executable.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


async def test_one_sample_of_macmon_is_what_the_check_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, f"assert sys.argv[1:] == ['pipe', '-s', '1']\nprint({json.dumps(SAMPLE)!r})", monkeypatch)

    (spec,) = lmx_admin.lmx_health_checks()
    answer = await spec.check(cast("Context", None))  # it does not look at it

    assert (spec.name, answer.ok, answer.detail) == (NAME, True, "44 °C")
    assert answer.facts == {"cpu_celsius": 43.7, "gpu_celsius": 37.0, "power_watts": 0.3}


async def test_without_macmon_nothing_is_measured_and_nothing_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert await check() == Health(ok=True, detail="not measured: macmon is not installed")


@pytest.mark.parametrize("script", ["print('no sensors')", "sys.exit(1)", "print('[1]')"])
async def test_a_macmon_that_gives_no_sample_is_no_illness(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    install(tmp_path, script, monkeypatch)

    answer = await check()

    assert answer.ok
    assert answer.detail.startswith("not measured: macmon gave no sample")


async def test_a_macmon_that_hangs_is_ended_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid_file = tmp_path / "pid"
    install(tmp_path, f"open({str(pid_file)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)", monkeypatch)

    answer = await check(limit_s=1.0)
    await asyncio.sleep(0)  # its pipe is closed on the next turn of the loop

    assert (answer.ok, answer.facts) == (True, {})
    assert "TimeoutError" in answer.detail
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


def test_a_chip_that_slows_itself_down_is_ill() -> None:
    answer = judged({**SAMPLE, "temp": {"cpu_temp_avg": 103.2, "gpu_temp_avg": 90.0}})

    assert not answer.ok
    assert "103 °C" in answer.detail


def test_a_sample_without_sensors_says_so() -> None:
    assert judged({"temp": None}) == Health(ok=True, detail="not measured: macmon found no sensors")
