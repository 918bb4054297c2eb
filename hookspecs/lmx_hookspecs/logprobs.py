"""Log-probabilities of a drawn token and of the likeliest alternatives at its place, for engines that have NumPy."""

from typing import Any

import numpy as np
from attrs import evolve

from lmx_hookspecs.engines import TokenPiece


def with_logprobs(piece: TokenPiece, logprobs: Any, count: int) -> TokenPiece:
    """The piece with the model's log-probability of its token, and the `count` likeliest ids, best first.

    `logprobs` is one row over the vocabulary in NumPy, after bias and penalties, before temperature and filters.
    """
    ids = _likeliest(logprobs, count)
    return evolve(
        piece, logprob=float(logprobs[piece.token]), top=[(int(token), float(logprobs[token])) for token in ids]
    )


def _likeliest(logprobs: Any, count: int) -> Any:
    count = min(count, len(logprobs))
    if count == 0:
        return ()
    ids = np.argpartition(-logprobs, count - 1)[:count]
    return ids[np.lexsort((ids, -logprobs[ids]))]
