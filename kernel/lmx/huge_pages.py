"""Has Linux keep the heap in huge pages once the server stands.

Between two requests an engine's numbers push the addresses of some thousand small pages out of the processor's tables,
and each of them takes a walk through memory to find again.
"""

import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path

SIZE_BYTES = 2**21
MADV_COLLAPSE = 25
"""`madvise(2)`, Linux 6.1 and later: at once, whatever the system's setting for huge pages; older ones refuse it."""
HEAP = frozenset({"", "[heap]"})
"""What `/proc/self/maps` calls memory of no file."""


def collapse(maps: Path = Path("/proc/self/maps")) -> int:
    """How many huge pages the heap of this process was moved into: as many as it fills, or none where there are none.

    Takes some milliseconds for each.
    """
    if sys.platform != "linux":
        return 0
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    places = [place for line in maps.read_text().splitlines() for place in _whole_pages(line)]
    return sum(madvise(place, SIZE_BYTES, MADV_COLLAPSE) == 0 for place in places)


def _whole_pages(line: str) -> Iterator[int]:
    """The addresses of those that fit into this mapping, where it is a part of the heap."""
    addresses, access, _, _, _, *name = line.split(maxsplit=5)
    if access == "rw-p" and "".join(name) in HEAP:
        begin, end = (int(address, 16) for address in addresses.split("-"))
        yield from range(-(-begin // SIZE_BYTES) * SIZE_BYTES, end - SIZE_BYTES + 1, SIZE_BYTES)
