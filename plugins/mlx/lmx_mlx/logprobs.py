"""Log-probabilities of a drawn token and of the likeliest alternatives at its place."""

from typing import Any

import mlx.core as mx
import numpy as np
from attrs import evolve

from lmx_hookspecs import TokenPiece


def with_logprobs(piece: TokenPiece, logprobs: Any, count: int) -> TokenPiece:
    """The piece with the model's log-probability of its token, and the `count` likeliest ids, best first.

    `logprobs` is one row over the vocabulary, after bias and penalties, before temperature and filters. It has been
    computed already; reading it on the CPU does not wait for the step that is in flight.
    """
    row = _as_numpy(logprobs)
    ids = _likeliest(row, count)
    return evolve(piece, logprob=float(row[piece.token]), top=[(int(token), float(row[token])) for token in ids])


def _as_numpy(logprobs: Any) -> Any:
    if logprobs.dtype != mx.float32:
        logprobs = logprobs.astype(mx.float32, stream=mx.cpu)
    return np.array(logprobs, copy=False)


def _likeliest(row: Any, count: int) -> Any:
    count = min(count, len(row))
    if count == 0:
        return ()
    ids = np.argpartition(-row, count - 1)[:count]
    return ids[np.lexsort((ids, -row[ids]))]
