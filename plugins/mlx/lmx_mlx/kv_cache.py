"""KV caches as mlx-lm makes them, one object per layer: new, quantised, measured, cut."""

from collections.abc import Iterable, Iterator
from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import (
    CacheList,
    KVCache,
    QuantizedKVCache,
    can_trim_prompt_cache,
    make_prompt_cache,
    trim_prompt_cache,
)

from lmx_mlx.settings import KvQuantization

Layers = list[Any]
"""The KV cache of one row."""


def new_layers(model: Any, quantization: KvQuantization | None = None) -> Layers:
    """An empty cache for one row.

    A quantised one is quantised from its first token on: what a token sees then depends on the tokens before it, and
    not on how the prompt was cut into chunks. Only plain caches can be; others (windows, states) stay as they are.
    """
    layers: Layers = make_prompt_cache(model)
    if quantization is None:
        return layers
    group_size, bits = quantization.group_size, quantization.bits
    return [
        layer.to_quantized(group_size=group_size, bits=bits) if type(layer) is KVCache else layer for layer in layers
    ]


def can_batch(model: Any) -> bool:
    """Whether the caches of this model's rows can be merged into one batch."""
    return all(hasattr(layer, "merge") for layer in make_prompt_cache(model))


def is_quantised(layers: Layers) -> bool:
    """Whether any layer's keys and values are."""
    return any(isinstance(layer, QuantizedKVCache) for layer in layers)


def untrimmable(layers: Layers) -> frozenset[str]:
    """Kinds of caches among these that tokens cannot be taken off again whatever they hold."""
    return frozenset(type(layer).__name__ for layer in _flat(layers) if type(layer) not in (KVCache, QuantizedKVCache))


def can_trim(layers: Layers) -> bool:
    """Whether tokens can be taken off the end of this cache."""
    return bool(can_trim_prompt_cache(layers))


def trim(layers: Layers, tokens: int) -> None:
    """Take tokens off the end of a cache."""
    if tokens:
        trim_prompt_cache(layers, tokens)


def size_bytes(layers: Layers) -> int:
    """What a cache really takes."""
    return sum(layer.nbytes for layer in layers)


def evaluate(layers: Layers) -> None:
    """Compute a cache now, so that it no longer holds on to the batch it was cut from."""
    mx.eval([layer.state for layer in layers])


def bytes_per_token(layers: Layers) -> float:
    """What one more token adds to a cache that is not empty; states that do not grow add nothing."""
    return sum((layer.nbytes / _slots(layer) for layer in _growing(layers)), start=0.0)


def vector_lengths(layers: Layers) -> frozenset[int]:
    """Lengths of the keys and values in the plain caches, none of them empty."""
    plain = [layer for layer in layers if type(layer) is KVCache]
    return frozenset(array.shape[-1] for layer in plain for array in (layer.keys, layer.values))


def types_of(layers: Layers) -> frozenset[str]:
    """What mlx-lm calls them."""
    return frozenset(type(layer).__name__ for layer in _flat(layers))


def _flat(layers: Iterable[Any]) -> Iterator[Any]:
    for layer in layers:
        yield from _flat(layer.caches) if isinstance(layer, CacheList) else (layer,)


def _growing(layers: Layers) -> Iterator[Any]:
    return (layer for layer in _flat(layers) if getattr(layer, "keys", None) is not None)


def _slots(layer: Any) -> int:
    """Tokens that its arrays have room for; a quantised cache has three arrays for the keys."""
    keys = layer.keys[0] if isinstance(layer, QuantizedKVCache) else layer.keys
    return int(keys.shape[-2])
