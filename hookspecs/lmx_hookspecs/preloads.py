"""For engines on MLX: what its Linux wheel for the CPU does slowly and a shared library of the machine does faster.

The wheel carries the reference BLAS, and OpenBLAS is fifteen times as fast. One of MLX's threads allocates every array
and another frees it; jemalloc does not make them wait for each other as the C library does, which at one row is a
third of a step.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from lmx_hookspecs.openblas_cores import better_core_type

LIBRARY_FOLDERS = (Path("/usr/lib"), Path("/usr/lib64"), Path("/usr/local/lib"), Path("/opt/OpenBLAS/lib"))
TIMEOUT_S = 5.0
ALLOCATORS = ("jemalloc", "tcmalloc", "mimalloc", "tbbmalloc")
"""An operator who preloads one of these has chosen."""
SPIN = "18"
"""Idle threads of OpenBLAS spin for 2^18 ticks, a tenth of a millisecond; its own 2^26 take a core from the others."""
JEMALLOC_SETTINGS = "background_thread:true"
"""Memory goes back to the system also while nothing allocates."""


def mlx_cpu_environment(*, blas_threads: int = 1) -> Mapping[str, str]:
    """The environment of a worker with OpenBLAS and jemalloc preloaded, as far as the machine has them.

    What the operator has exported wins; `blas_threads` are the most that OpenBLAS will have.
    """
    preloaded = os.environ.get("LD_PRELOAD", "").split()
    settings: dict[str, str] = {}
    openblas = _named(preloaded, ("openblas",)) or find_openblas()
    if openblas is not None:
        settings |= {"OPENBLAS_NUM_THREADS": str(blas_threads), "OPENBLAS_THREAD_TIMEOUT": SPIN}
        core_type = better_core_type(openblas)
        settings |= {} if core_type is None else {"OPENBLAS_CORETYPE": core_type}
        if str(openblas) not in preloaded:
            preloaded = [str(openblas), *preloaded]
    jemalloc = None if _named(preloaded, ALLOCATORS) else find_jemalloc()
    if jemalloc is not None and can_be_preloaded(jemalloc):
        settings["MALLOC_CONF"] = JEMALLOC_SETTINGS
        preloaded = [*preloaded, str(jemalloc)]
    exported = {name: os.environ[name] for name in settings if name in os.environ}
    return {**settings, **exported, "LD_PRELOAD": " ".join(preloaded)} if settings else {}


def can_be_preloaded(library: Path) -> bool:
    """Whether a program starts with it: an allocator made for pages of another size ends every process at once."""
    program = shutil.which("true")
    if program is None:
        return False
    environment = {"MALLOC_CONF": JEMALLOC_SETTINGS, **os.environ, "LD_PRELOAD": str(library)}
    try:
        done = subprocess.run([program], env=environment, capture_output=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0 and not done.stderr


def find_openblas(folders: Sequence[Path] = LIBRARY_FOLDERS) -> Path | None:
    """A shared OpenBLAS: the linker's own choice, else the first in the usual folders."""
    return _find("libopenblas.so", folders, ("", "*/", "*/openblas*/"))


def find_jemalloc(folders: Sequence[Path] = LIBRARY_FOLDERS) -> Path | None:
    """A shared jemalloc, likewise."""
    return _find("libjemalloc.so", folders, ("", "*/"))


def _find(name: str, folders: Sequence[Path], places: Sequence[str]) -> Path | None:
    linked = _linked(name)
    if linked is not None:
        return linked
    found = (path for folder in folders for place in places for path in sorted(folder.glob(f"{place}{name}*")))
    return next(found, None)


def _linked(name: str) -> Path | None:
    ldconfig = shutil.which("ldconfig") or shutil.which("ldconfig", path="/sbin:/usr/sbin")
    if ldconfig is None:
        return None
    try:
        listing = subprocess.run([ldconfig, "-p"], capture_output=True, text=True, timeout=TIMEOUT_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    paths = (Path(line.split("=>")[-1].strip()) for line in listing.splitlines() if name in line)
    return next((path for path in paths if path.exists()), None)


def _named(paths: Sequence[str], names: Sequence[str]) -> Path | None:
    return next((Path(path) for path in paths if any(name in path for name in names)), None)
