"""The heap of this process, whichever allocator it has."""

import ctypes

EVERY_ARENA = b"arena.4096.purge"
"""jemalloc's name for handing back the unused pages of all its arenas (MALLCTL_ARENAS_ALL)."""


def trim_heap() -> None:
    """Hand what the allocator only keeps for reuse back to the system: jemalloc where it is preloaded, else glibc."""
    loaded = ctypes.CDLL(None)
    if hasattr(loaded, "mallctl"):
        loaded.mallctl(EVERY_ARENA, None, None, None, ctypes.c_size_t(0))
    elif hasattr(loaded, "malloc_trim"):  # other C libraries have none
        loaded.malloc_trim(ctypes.c_size_t(0))
