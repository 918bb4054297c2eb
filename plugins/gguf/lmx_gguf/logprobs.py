"""Log-probabilities of a drawn token and of the likeliest alternatives at its place."""

from typing import Any

import numpy as np
from attrs import evolve

from lmx_hookspecs import TokenPiece


def with_logprobs(piece: TokenPiece, logits: Any, count: int) -> TokenPiece:
    """The piece with the model's log-probability of its token, and the `count` likeliest ids, best first.

    `logits` is one row over the vocabulary, after bias and penalties, before filters and temperature.
    """
    row = log_softmax(logits)
    ids = _likeliest(row, count)
    return evolve(piece, logprob=float(row[piece.token]), top=[(int(token), float(row[token])) for token in ids])


def log_softmax(logits: Any) -> Any:
    """In float64; none is above 0."""
    shifted = logits.astype(np.float64) - float(logits.max())
    return np.minimum(shifted - np.log(np.exp(shifted).sum()), 0.0)


def _likeliest(row: Any, count: int) -> Any:
    count = min(count, len(row))
    if count == 0:
        return ()
    ids = np.argpartition(-row, count - 1)[:count]
    return ids[np.lexsort((ids, -row[ids]))]
