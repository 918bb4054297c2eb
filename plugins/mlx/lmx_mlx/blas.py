"""How many threads multiply matrices, where OpenBLAS is preloaded: as many as pay for a model of that size.

A step of a small model is a hundred small products with little between them, for which threads only wait for each
other; prompts have larger ones. Milliseconds of a step of one row, and of a prompt of 400 tokens, on 16 cores:

    threads          1            2            4            8            16
    16 MB        2.6 / 136    2.3 / 120    2.6 / 114    2.4 / 141    2.3 / 196
    79 MB       12.4 / 394    9.6 / 356    7.8 / 339    6.5 / 311    7.8 / 396
    394 MB      75.6 / 1,755 44.8 / 1,511 31.0 / 1,092 22.5 / 1,024 21.4 / 1,146

Behind a server on two cores, a second thread made steps 1.2 times as fast at 79 MB, 1.3 at 174 and 1.7 at 394. At 16 MB
prompts gained nothing either, and the first token came to its client later: such a model leaves half the cores free.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from attrs import define, field

MIB = 1024**2
SMALL_BYTES, SMALL_PROMPT_THREADS = 48 * MIB, 4
MEDIUM_BYTES, MEDIUM_THREADS = 256 * MIB, 8


@define
class BlasThreads:
    """Sets the number of threads of the OpenBLAS of this process, up to the OPENBLAS_NUM_THREADS that it began with.

    Builds with OpenMP keep a number for each thread that calls them, and do not follow.
    """

    _library: Any = field(factory=lambda: ctypes.CDLL(None))
    _available: int = field(init=False)
    _for_steps: int = field(init=False)
    _for_prompts: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        has_openblas = hasattr(self._library, "openblas_set_num_threads")
        self._available = self._library.openblas_get_num_threads() if has_openblas else 1
        self._for_steps = self._for_prompts = self._available

    def suit(self, weight_bytes: int, *, draws: bool = True) -> None:
        """From now on use as many as pay for a step of a model of that size, or for a prompt if it never draws."""
        if weight_bytes < SMALL_BYTES:
            self._for_steps, self._for_prompts = 1, max(1, min(SMALL_PROMPT_THREADS, self._available // 2))
        else:
            most = MEDIUM_THREADS if weight_bytes < MEDIUM_BYTES else self._available
            self._for_steps = self._for_prompts = min(most, self._available)
        if not draws:
            self._for_steps = self._for_prompts
        if self._available > 1:
            self._library.openblas_set_num_threads(self._for_steps)

    @contextmanager
    def used(self, *, for_prompts: bool) -> Iterator[None]:
        """Use as many as pay for prompts within the block, or as before."""
        if not for_prompts or self._for_prompts == self._for_steps:
            yield
            return
        self._library.openblas_set_num_threads(self._for_prompts)
        try:
            yield
        finally:
            self._library.openblas_set_num_threads(self._for_steps)
