"""Masks over token ids, as mlx-lm's logits processors."""

from typing import Any

import mlx.core as mx
import numpy as np

from lmx_hookspecs import TokenMask

Array = Any


class MaskProcessor:
    """Tells the mask of a row every token drawn, and takes away what may not come next.

    It has to know the tokens by their numbers, so it waits for the draw before: whoever calls it has set off the work
    that does not depend on it.
    """

    def __init__(self, mask: TokenMask, prompt_length: int) -> None:
        self._mask = mask
        self._told = prompt_length

    def __call__(self, tokens: Array, logits: Array) -> Array:
        """Logits of shape (1, vocabulary), minus infinity where a token may not come; `tokens` are all of the row.

        A row that was taken out and put back may ask twice about one place: what was told stays told.
        """
        for token in tokens[self._told :].tolist():
            self._mask.accept(token)
            self._told += 1
        bits = self._mask.allowed()
        return logits if bits is None else mx.where(_as_booleans(bits, logits.shape[-1]), logits, -mx.inf)


def _as_booleans(bits: bytes, width: int) -> Array:
    """An array of shape (1, width); ids beyond the bits may not come."""
    known = np.unpackbits(np.frombuffer(bits, dtype=np.uint8), count=min(width, 8 * len(bits)), bitorder="little")
    allowed = np.zeros((1, width), dtype=np.bool_)
    allowed[0, : known.size] = known
    return mx.array(allowed)
