"""What the kernel must know before a worker starts; MLX is not imported here."""

import sys
from collections.abc import Mapping
from importlib import metadata

from lmx_hookspecs.cores import usable_cores
from lmx_hookspecs.preloads import mlx_cpu_environment


def runs_on_cpu() -> bool:
    """Whether the installed MLX is the Linux build for the CPU; Metal and CUDA builds bring their own kernels."""
    try:
        metadata.distribution("mlx-cpu")
    except metadata.PackageNotFoundError:
        return False
    return sys.platform == "linux"


def worker_environment() -> Mapping[str, str]:
    """OpenBLAS and jemalloc in place of what MLX's CPU wheel would use."""
    return mlx_cpu_environment(blas_threads=usable_cores()) if runs_on_cpu() else {}
