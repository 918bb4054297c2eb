"""Log-probabilities that MLX has computed, for NumPy."""

from typing import Any

import mlx.core as mx
import numpy as np


def as_numpy(logprobs: Any) -> Any:
    """A row that has been computed already; reading it on the CPU does not wait for the step that is in flight."""
    if logprobs.dtype != mx.float32:
        logprobs = logprobs.astype(mx.float32, stream=mx.cpu)
    return np.array(logprobs, copy=False)
