"""How many threads compute: more than there are cores to run them on only wait for each other.

llama.cpp's threads meet some dozens of times in a step. One that has lost its core for a moment holds up all of them,
so that a core is left to the server, its clients and the rest of the machine: with two threads on two busy cores a step
took three to thirty times as long as with one.
"""

from lmx_hookspecs.cores import usable_cores


def default_threads() -> int:
    """All cores that this process may use but one."""
    return max(1, usable_cores() - 1)
