"""For engines on MLX, whose Linux wheel for the CPU carries the reference BLAS: OpenBLAS is fifteen times as fast."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

LIBRARY_FOLDERS = (Path("/usr/lib"), Path("/usr/lib64"), Path("/usr/local/lib"), Path("/opt/OpenBLAS/lib"))
LDCONFIG_TIMEOUT_S = 5.0
_PATTERNS = ("libopenblas.so*", "*/libopenblas.so*", "*/openblas*/libopenblas.so*")


def preloaded_openblas() -> Mapping[str, str]:
    """The environment of a worker with OpenBLAS in place of its own BLAS; empty where the machine has none.

    One BLAS thread beats several at batches (MLX has threads of its own) and equals them at one row; a value that
    the operator has exported wins.
    """
    library = find_openblas()
    if library is None:
        return {}
    preloaded = os.environ.get("LD_PRELOAD", "").split()
    if not any("openblas" in path for path in preloaded):
        preloaded = [str(library), *preloaded]
    threads = os.environ.get("OPENBLAS_NUM_THREADS", "1")
    return {"LD_PRELOAD": " ".join(preloaded), "OPENBLAS_NUM_THREADS": threads}


def find_openblas(folders: Sequence[Path] = LIBRARY_FOLDERS) -> Path | None:
    """A shared OpenBLAS: the linker's own choice, else the first in the usual folders."""
    linked = _linked_openblas()
    if linked is not None:
        return linked
    found = (path for folder in folders for pattern in _PATTERNS for path in sorted(folder.glob(pattern)))
    return next(found, None)


def _linked_openblas() -> Path | None:
    ldconfig = shutil.which("ldconfig") or shutil.which("ldconfig", path="/sbin:/usr/sbin")
    if ldconfig is None:
        return None
    try:
        listing = subprocess.run(
            [ldconfig, "-p"], capture_output=True, text=True, timeout=LDCONFIG_TIMEOUT_S, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    paths = (Path(line.split("=>")[-1].strip()) for line in listing.splitlines() if "libopenblas.so" in line)
    return next((path for path in paths if path.exists()), None)
