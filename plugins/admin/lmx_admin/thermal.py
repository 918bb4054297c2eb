"""How hot the chip is, as macmon (https://github.com/vladkens/macmon) measures it on Apple silicon, where installed."""

import asyncio
import json
import shutil
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from lmx_hookspecs import Health

NAME = "admin.thermal"
"""Of the health check."""
EXECUTABLE = "macmon"
SAMPLE_LIMIT_S = 4.0
"""A sample takes it a second."""
HOT_CELSIUS = 100.0
"""From about here on the chip slows itself down."""


@frozen(kw_only=True)
class Thermal:
    """Means over the chip's sensors."""

    cpu_celsius: float | None
    gpu_celsius: float | None
    power_watts: float | None


async def check(limit_s: float = SAMPLE_LIMIT_S) -> Health:
    """Not ok while the chip is so hot that it slows down; ok where nobody measures, or the measuring fails."""
    executable = shutil.which(EXECUTABLE)
    if executable is None:
        return Health(ok=True, detail=f"not measured: {EXECUTABLE} is not installed")
    try:
        async with asyncio.timeout(limit_s):
            sample = dict(json.loads(await _output(executable)))
    except (OSError, ValueError, TypeError) as error:  # a time limit that has passed is an OSError, too
        return Health(ok=True, detail=f"not measured: {EXECUTABLE} gave no sample ({type(error).__name__}: {error})")
    return judged(sample)


def judged(sample: Mapping[str, Any]) -> Health:
    """What one line of `macmon pipe` means."""
    temperatures = sample.get("temp") or {}
    facts = {
        "cpu_celsius": _rounded(temperatures.get("cpu_temp_avg")),
        "gpu_celsius": _rounded(temperatures.get("gpu_temp_avg")),
        "power_watts": _rounded(sample.get("all_power")),
    }
    measured = [celsius for celsius in (facts["cpu_celsius"], facts["gpu_celsius"]) if celsius is not None]
    hottest = max(measured, default=None)
    if hottest is None:
        return Health(ok=True, detail=f"not measured: {EXECUTABLE} found no sensors")
    if hottest < HOT_CELSIUS:
        return Health(ok=True, detail=f"{hottest:.0f} °C", facts=facts)
    detail = f"the chip is at {hottest:.0f} °C and slows down: let it cool, or run fewer requests at once"
    return Health(ok=False, detail=detail, facts=facts)


async def _output(executable: str) -> bytes:
    """What one sample prints; a process that is given up is ended."""
    process = await asyncio.create_subprocess_exec(
        executable,
        "pipe",
        "-s",
        "1",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return output


def _rounded(value: Any) -> float | None:
    return round(float(value), 1) if isinstance(value, int | float) else None
