"""Which of its kernels OpenBLAS should use, where it takes a new processor for an old one.

OpenBLAS knows processors by their model numbers. Debian 12's takes an Intel of 2023 for a Pentium 4 of 2004: without
AVX, a batch of prompts takes twice as long.
"""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
TIMEOUT_S = 5.0
FALLBACKS = frozenset({"Prescott", "Core2", "Nehalem", "Sandybridge"})
HASWELL = frozenset({"avx2", "fma"})
SKYLAKE_X = HASWELL | {"avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512cd"}
PROGRAM = """
import ctypes, sys
name = ctypes.CDLL(sys.argv[1]).openblas_get_corename
name.restype = ctypes.c_char_p
print(name().decode())
"""


def better_core_type(library: Path, cpuinfo: Path = CPUINFO) -> str | None:
    """A value for OPENBLAS_CORETYPE where the library's own choice leaves half of an x86-64 processor unused."""
    flags = _flags(cpuinfo)
    if not flags >= HASWELL:
        return None
    try:
        chosen = _chosen(library)
    except (OSError, subprocess.SubprocessError):
        return None  # it is no OpenBLAS, or one for a single processor, or the machine is too busy to say
    if chosen not in FALLBACKS:
        return None
    return "SkylakeX" if flags >= SKYLAKE_X else "Haswell"


@cache
def _chosen(library: Path) -> str:
    """What it takes this processor for; asked of a process of its own, since loading it starts threads."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROGRAM, str(library)],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    return done.stdout.strip()


def _flags(cpuinfo: Path) -> frozenset[str]:
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), ()))
