import os
import subprocess
import sys

import pytest

from lmx_hookspecs.preloads import find_jemalloc

PROGRAM = """
import ctypes, psutil
from lmx_hookspecs.heap import trim_heap

loaded = ctypes.CDLL(None)
loaded.malloc.restype = ctypes.c_void_p
blocks = [ctypes.c_void_p(loaded.malloc(ctypes.c_size_t(65536))) for _ in range(1600)]
for block in blocks:
    ctypes.memset(block, 1, 65536)
for block in blocks[:-1]:
    loaded.free(block)
kept = psutil.Process().memory_info().rss
trim_heap()
print(kept - psutil.Process().memory_info().rss)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc and jemalloc are asked on Linux")
@pytest.mark.parametrize("allocator", ["the C library's", "jemalloc"])
def test_what_an_allocator_keeps_goes_back_to_the_system(allocator: str) -> None:
    library = find_jemalloc() if allocator == "jemalloc" else ""
    if library is None:
        pytest.skip("needs libjemalloc")

    environment = {**os.environ, "LD_PRELOAD": str(library)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True, timeout=60
    )

    assert int(done.stdout) > 50_000_000
