"""How many threads multiply matrices, where OpenBLAS is preloaded: all of them for prompts, and otherwise what pays.

A step of a small model is a hundred small products with little between them, for which threads only wait for each
other: at 16 MB of weights a second one made a step 10 % slower, and a prompt 1.3 times as fast. At 79 MB it made a step
1.2 to 1.4 times as fast, at 394 MB 1.4 to 1.8 times.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from attrs import define, field

SMALL_WEIGHT_BYTES = 48 * 1024**2


@define
class BlasThreads:
    """Sets the number of threads of the OpenBLAS of this process, up to the OPENBLAS_NUM_THREADS that it began with.

    Builds with OpenMP keep a number for each thread that calls them, and do not follow.
    """

    _library: Any = field(factory=lambda: ctypes.CDLL(None))
    _most: int = field(init=False)
    _usual: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        has_openblas = hasattr(self._library, "openblas_set_num_threads")
        self._most = self._usual = self._library.openblas_get_num_threads() if has_openblas else 1

    def suit(self, weight_bytes: int) -> None:
        """From now on use as many as pay for a step of a model of that size."""
        self._usual = 1 if weight_bytes < SMALL_WEIGHT_BYTES else self._most
        if self._most > 1:
            self._library.openblas_set_num_threads(self._usual)

    @contextmanager
    def used(self, *, all_of_them: bool) -> Iterator[None]:
        """Use all within the block, or what `suit` has set."""
        if not all_of_them or self._usual == self._most:
            yield
            return
        self._library.openblas_set_num_threads(self._most)
        try:
            yield
        finally:
            self._library.openblas_set_num_threads(self._usual)
