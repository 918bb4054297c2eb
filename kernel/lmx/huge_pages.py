"""Has Linux keep the heap in huge pages once the server stands, and Python lay it out so that it can.

Between two requests an engine's numbers push the addresses of some thousand small pages out of the processor's tables,
and each of them takes a walk through memory to find again.
"""

import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

MADV_COLLAPSE = 25
"""`madvise(2)`, Linux 6.1 and later; older ones refuse it."""
HEAP = frozenset({"", "[heap]"})
"""What `/proc/self/maps` calls memory of no file."""
BUDGET_S = 0.2
"""A page takes about a millisecond, and more where the memory is in pieces."""
HEAP_BYTES = 28 * 2**20
"""A little less than what a server adds to the objects that a command begins with."""
ARENA_BYTES, OBJECT_BYTES = 2**20, 512
"""Python asks for memory by the one, and gives such memory to objects up to the other (`Objects/obmalloc.c`)."""
MAPS, SETTINGS = Path("/proc/self/maps"), Path("/sys/kernel/mm/transparent_hugepage")
_pins: list[bytes] = []


def lay_out(size_bytes: int = HEAP_BYTES, settings: Path = SETTINGS) -> None:
    """Have Python take memory for its objects in one piece; later it would come in pieces smaller than a huge page.

    An object is left in each arena, so that Python keeps it when it gives the others' room to what comes.
    """
    if _size_bytes(settings):
        objects = [b""] * (size_bytes // OBJECT_BYTES)  # a list that grew would come between the arenas
        for place in range(len(objects)):
            objects[place] = bytes(OBJECT_BYTES - sys.getsizeof(b""))
        _pins.extend(objects[:: ARENA_BYTES // OBJECT_BYTES // 2])


def collapse(maps: Path = MAPS, settings: Path = SETTINGS) -> int:
    """How many huge pages the heap of this process was moved into: as many as it fills, or the time allows.

    None where the system has none, or is told never to use any.
    """
    size_bytes = _size_bytes(settings)
    if not size_bytes:
        return 0
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    deadline_s, collapsed = monotonic() + BUDGET_S, 0
    for place in (place for line in maps.read_text().splitlines() for place in _whole_pages(line, size_bytes)):
        collapsed += madvise(place, size_bytes, MADV_COLLAPSE) == 0
        if monotonic() > deadline_s:
            break
    return collapsed


def _size_bytes(settings: Path) -> int:
    if sys.platform != "linux":
        return 0
    try:
        never = "[never]" in (settings / "enabled").read_text()
        return 0 if never else int((settings / "hpage_pmd_size").read_text())
    except (OSError, ValueError):
        return 0  # a system without huge pages


def _whole_pages(line: str, size_bytes: int) -> Iterator[int]:
    """The addresses of those that fit into this mapping, where it is a part of the heap."""
    addresses, access, _, _, _, *name = line.split(maxsplit=5)
    if access == "rw-p" and "".join(name) in HEAP:
        begin, end = (int(address, 16) for address in addresses.split("-"))
        yield from range(-(-begin // size_bytes) * size_bytes, end - size_bytes + 1, size_bytes)
