"""KV caches as plain memory and back: MLX arrays belong to the thread that made them, NumPy's to nobody.

All functions run in the engine's thread; what they return may be written, or may have been read, by any other.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import mlx.core as mx
import numpy as np
from mlx_lm.models import cache as caches

from lmx_mlx.cache_files import Stored

PLAIN = (caches.KVCache, caches.QuantizedKVCache)
KINDS = {kind.__name__: kind for kind in (*PLAIN, caches.RotatingKVCache, caches.ArraysCache)}
"""Caches whose state says all there is of them."""
DTYPES = {
    mx.float32: "F32",
    mx.float16: "F16",
    mx.bfloat16: "BF16",
    mx.uint32: "U32",
    mx.int32: "I32",
    mx.uint8: "U8",
}


def can_pack(layers: Sequence[Any]) -> bool:
    """Whether caches like these can be put away."""
    return all(type(layer) in KINDS.values() and _is_known(layer.state) for layer in layers)


def _is_known(state: Any) -> bool:
    if isinstance(state, list | tuple):
        return all(map(_is_known, state))
    return state.dtype in DTYPES if isinstance(state, mx.array) else isinstance(state, int | float | None)


def pack(layer: Any) -> tuple[Any, list[Stored]]:
    """What describes the cache of one layer in JSON, and its arrays in that order."""
    arrays: list[Stored] = []
    return [type(layer).__name__, _packed(_state(layer), arrays)], arrays


def unpack(layout: Sequence[Any], arrays: Sequence[Stored]) -> list[Any]:
    """The caches of all layers; raises what it meets in a layout that is none."""
    remaining = iter(arrays)
    return [KINDS[kind].from_state(_unpacked(state, remaining)) for kind, state in layout]


def _state(layer: Any) -> Any:
    """Without the slots that hold nothing yet."""
    if type(layer) in PLAIN:
        return (*layer.keys_and_values(), *layer.state[2:])
    return layer.state


def _packed(state: Any, arrays: list[Stored]) -> Any:
    if isinstance(state, mx.array):
        arrays.append(Stored(DTYPES[state.dtype], _as_numpy(state)))
        return "array"
    if isinstance(state, list | tuple):
        return [_packed(part, arrays) for part in state]
    return {"value": state}


def _unpacked(layout: Any, arrays: Iterator[Stored]) -> Any:
    if layout == "array":
        return _as_mlx(next(arrays))
    if isinstance(layout, list):
        return [_unpacked(part, arrays) for part in layout]
    return layout["value"]


def _as_numpy(array: Any) -> Any:
    return np.array(array.view(mx.uint16) if array.dtype == mx.bfloat16 else array)


def _as_mlx(stored: Stored) -> Any:
    array = mx.array(stored.array)
    return array.view(mx.bfloat16) if stored.dtype == "BF16" else array
