"""Log-probabilities of logits as llama.cpp gives them."""

from typing import Any

import numpy as np


def log_softmax(logits: Any) -> Any:
    """Of one row over the vocabulary, in float64; none is above 0."""
    shifted = logits.astype(np.float64) - float(logits.max())
    return np.minimum(shifted - np.log(np.exp(shifted).sum()), 0.0)
