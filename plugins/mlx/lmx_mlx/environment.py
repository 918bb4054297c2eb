"""What the kernel must know before a worker starts; MLX is not imported here."""

import sys
from collections.abc import Mapping
from importlib import metadata

from lmx_hookspecs.openblas import preloaded_openblas


def runs_on_cpu() -> bool:
    """Whether the installed MLX is the Linux build for the CPU; Metal and CUDA builds bring their own kernels."""
    try:
        metadata.distribution("mlx-cpu")
    except metadata.PackageNotFoundError:
        return False
    return sys.platform == "linux"


def worker_environment() -> Mapping[str, str]:
    """OpenBLAS in place of the reference BLAS of MLX's CPU wheel."""
    return preloaded_openblas() if runs_on_cpu() else {}
