"""A loaded model and what was measured on it."""

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from lmx_hookspecs.limits import Limits
from lmx_mlx.tokenizer import MlxTokenizer


@frozen(kw_only=True, eq=False)
class LoadedModel:
    """An mlx-lm network with its tokenizer."""

    network: Any
    tokenizer: MlxTokenizer
    context_length: int
    vocab_size: int
    """Ids below it are safe as input, as bias and as a bound of top_k."""
    logits_width: int
    weight_bytes: int
    cache_bytes_per_token: float
    capabilities: frozenset[str]
    details: Mapping[str, Any]

    @property
    def limits(self) -> Limits:
        """What a request may ask of it."""
        return Limits(self.context_length, self.vocab_size)
