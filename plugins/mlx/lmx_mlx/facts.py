"""What a network and its configuration tell: context, vocabulary, bytes, and what people want to know."""

from collections.abc import Mapping
from typing import Any

import mlx.core as mx
from mlx import nn
from mlx.utils import tree_flatten

CONTEXT_KEYS = (
    "max_position_embeddings",
    "max_seq_len",
    "max_sequence_length",
    "seq_length",
    "n_positions",
    "n_ctx",
    "model_max_length",
)
UNKNOWN_CONTEXT = 4096
"""For the rare configuration that says nothing of its context."""


def context_length(description: Mapping[str, Any], wanted: int | None) -> int:
    """The model's own context, or the shorter one that is wanted."""
    levels = (description, description.get("text_config") or {})
    found = (level[key] for level in levels for key in CONTEXT_KEYS if isinstance(level.get(key), int))
    longest = next((length for length in found if length > 0), UNKNOWN_CONTEXT)
    return longest if wanted is None else min(longest, wanted)


def vocab_size(network: Any, logits_width: int) -> int:
    """Ids below it are safe to feed to the network, and it has logits for them."""
    return min(logits_width, _embedding_rows(network) or logits_width)


def weight_bytes(network: Any) -> int:
    """What all parameters take."""
    return sum(array.nbytes for _, array in tree_flatten(network.parameters()))


def details(network: Any, description: Mapping[str, Any]) -> dict[str, Any]:
    """For people: architecture, device, data types."""
    types = {str(array.dtype).removeprefix("mlx.core.") for _, array in tree_flatten(network.parameters())}
    return {
        "architecture": description.get("model_type"),
        "device": "metal" if mx.metal.is_available() else str(mx.default_device()),
        "dtypes": sorted(types),
        "quantization": description.get("quantization"),
        "weight_bytes": weight_bytes(network),
    }


def _embedding_rows(network: Any) -> int | None:
    tables = [module for module in network.modules() if isinstance(module, nn.Embedding | nn.QuantizedEmbedding)]
    rows = [table.weight.shape[0] for table in tables]
    # Tables of positions or token types are short beside those of tokens.
    return min((count for count in rows if count > max(rows) // 2), default=None)
