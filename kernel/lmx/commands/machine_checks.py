"""What `lmx doctor` looks at on the machine: Python, engines, memory, disk."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from lmx.commands.findings import Finding, fail, ok, warn
from lmx.commands.output import size
from lmx.commands.version import ENGINES, installed_version
from lmx.plugins import environments
from lmx_hookspecs import places

MLX_PROBE = "import mlx.core as mx; print(mx.default_device().type.name, mx.metal.is_available())"
PROBE_TIMEOUT_S = 30.0
LITTLE_MEMORY_BYTES = 2 * 1024**3
LITTLE_DISK_BYTES = 5 * 1024**3
CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def python() -> Iterator[Finding]:
    """The interpreter."""
    yield ok("python", f"{platform.python_version()} at {sys.executable}")


def system() -> Iterator[Finding]:
    """The operating system."""
    name = f"{platform.system()} {platform.release()} on {platform.machine()}, {os.cpu_count()} cores"
    if sys.platform == "darwin" and platform.machine() != "arm64":
        yield warn("platform", name, "MLX needs Apple silicon and a native (not Rosetta) Python; use GGUF models here")
    else:
        yield ok("platform", name)


def engines() -> Iterator[Finding]:
    """Which engines are installed, and whether MLX starts."""
    found = {name: version for name in ENGINES if (version := installed_version(name))}
    isolated = environments.made()
    if isolated:
        yield ok("environments", f"of their own: {', '.join(isolated)}")
    if not found and not isolated:
        yield fail("engines", "none is installed", "pip install 'opta-lmx[mlx]'")
        return
    if found:
        yield ok("engines", ", ".join(f"{name} {version}" for name, version in found.items()))
    if "mlx" in found:
        yield mlx_device()


def mlx_device() -> Finding:
    """Where MLX computes; asked in a process of its own, which a broken driver may take down."""
    try:
        probe = subprocess.run(
            [sys.executable, "-c", MLX_PROBE], capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return fail("mlx", f"did not start within {PROBE_TIMEOUT_S:g} s", "pip install --force-reinstall mlx")
    if probe.returncode:
        last = (probe.stderr.strip().splitlines() or [f"ended with status {probe.returncode}"])[-1]
        return fail("mlx", last, "pip install --force-reinstall 'opta-lmx[mlx]'")
    device, metal = probe.stdout.split()
    return ok("mlx", f"computes on the {device.upper()}{' with Metal' if metal == 'True' else ''}")


def memory() -> Iterator[Finding]:
    """What there is, and what this process may use of it."""
    now = psutil.virtual_memory()
    limit_bytes = cgroup_limit_bytes(now.total)
    limit = f", limited to {size(limit_bytes)} by the container" if limit_bytes else ""
    seen = f"{size(now.available)} of {size(now.total)} available{limit}"
    if min(now.available, limit_bytes or now.available) < LITTLE_MEMORY_BYTES:
        yield warn("memory", seen, "close other programs, or choose small models")
    else:
        yield ok("memory", seen)


def cgroup_limit_bytes(total_bytes: int) -> int | None:
    """The container's limit, where there is one below what the machine has."""
    for path in CGROUP_LIMITS:
        text = path.read_text().strip() if path.is_file() else ""
        if text.isdecimal() and int(text) < total_bytes:
            return int(text)
    return None


def home() -> Iterator[Finding]:
    """Whether the data folder can be written, and how much room is left on its disk."""
    folder = places.home()
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        yield fail("home", f"{folder} cannot be written", "mend its permissions, or set LMX_HOME to another folder")
        return
    yield ok("home", str(folder))
    free_bytes = shutil.disk_usage(existing).free
    seen = f"{size(free_bytes)} free"
    if free_bytes < LITTLE_DISK_BYTES:
        yield warn("disk", seen, "make room: models are gigabytes")
    else:
        yield ok("disk", seen)
