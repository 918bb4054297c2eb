"""KV caches of every kind that is put away, and files of them."""

from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
from mlx_lm.models.cache import ArraysCache, KVCache, QuantizedKVCache, RotatingKVCache

from lmx_mlx import packing
from lmx_mlx.cache_files import CacheFile

SUFFIX = ".kv.safetensors"


def file_of(tokens: Any, *, identity: str = "i", layers: Any = None) -> CacheFile:
    packed = [packing.pack(layer) for layer in layers or [plain(len(tokens))]]
    return CacheFile(
        identity=identity,
        tokens=np.asarray(tokens, dtype=np.int32),
        layout=[layout for layout, _ in packed],
        arrays=[stored for _, arrays in packed for stored in arrays],
        cuttable=True,
    )


def plain(length: int, dtype: Any = mx.float32) -> KVCache:
    layer = KVCache()
    layer.update_and_fetch(mx.random.normal((1, 2, length, 8)).astype(dtype), mx.ones((1, 2, length, 8), dtype=dtype))
    return layer


def quantised(length: int) -> QuantizedKVCache:
    layer = QuantizedKVCache(group_size=32, bits=4)
    layer.update_and_fetch(mx.random.normal((1, 2, length, 32)), mx.random.normal((1, 2, length, 32)))
    return layer


def rotating(length: int) -> RotatingKVCache:
    layer = RotatingKVCache(max_size=16)
    layer.update_and_fetch(mx.random.normal((1, 2, length, 8)), mx.random.normal((1, 2, length, 8)))
    return layer


def states(_: int) -> ArraysCache:
    layer = ArraysCache(2)
    layer[0] = mx.random.normal((1, 4))
    return layer


def files(home: Path) -> list[Path]:
    """Those that all models have put away."""
    return sorted(home.glob(f"*/*{SUFFIX}"))
