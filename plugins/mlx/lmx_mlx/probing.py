"""What a first forward pass shows of a model, before it counts as loaded."""

import time
from collections.abc import Callable
from typing import Any

import mlx.core as mx
from attrs import frozen

from lmx_hookspecs.errors import UnsupportedParameter
from lmx_mlx import kv_cache
from lmx_mlx.settings import KV_GROUP_SIZES, KvQuantization

PROBE_TOKENS = 32


@frozen(kw_only=True)
class Probe:
    """Facts of a model with the caches that it will run with."""

    logits_width: int
    cache_bytes_per_token: float
    """What one more token of a row adds to its cache; 0 for states that do not grow."""
    cache_types: frozenset[str]
    tokens_per_s: float
    """Speed of a short prefill."""


def probed(network: Any, model_id: str, quantization: KvQuantization | None) -> Probe:
    """Raises UnsupportedParameter where this model's caches cannot be quantised, or not like this."""
    layers = kv_cache.new_layers(network)
    probe = _probe(network, layers, time.perf_counter)
    if quantization is None:
        return probe
    _check_groups(model_id, kv_cache.vector_lengths(layers), quantization)
    layers = kv_cache.new_layers(network, quantization)
    if not kv_cache.is_quantised(layers):
        kinds = ", ".join(sorted(probe.cache_types))
        raise _refusal(model_id, f"mlx-lm has no quantised form of its caches ({kinds})")
    try:
        return _probe(network, layers, time.perf_counter)
    except Exception as error:  # models reach into their caches in ways of their own
        raise _refusal(model_id, f"its attention does not read a quantised cache ({error})") from error


def _probe(network: Any, layers: kv_cache.Layers, clock: Callable[[], float]) -> Probe:
    """Run the model on a token, which compiles its kernels, and on a short prompt, timed; `layers` is empty."""
    logits = network(mx.array([[0]]), cache=layers)
    mx.eval(logits)
    began = clock()
    mx.eval(network(mx.zeros((1, PROBE_TOKENS), dtype=mx.int32), cache=layers))
    return Probe(
        logits_width=logits.shape[-1],
        tokens_per_s=PROBE_TOKENS / (clock() - began),
        cache_bytes_per_token=kv_cache.bytes_per_token(layers),
        cache_types=kv_cache.types_of(layers),
    )


def _check_groups(model_id: str, lengths: frozenset[int], quantization: KvQuantization) -> None:
    fitting = [size for size in KV_GROUP_SIZES if all(length % size == 0 for length in lengths)]
    if quantization.group_size in fitting:
        return
    advice = f"kv_group_size {' or '.join(map(str, fitting))} works" if fitting else "leave kv_bits out"
    raise UnsupportedParameter(
        f"{model_id} has keys and values of {' and '.join(map(str, sorted(lengths)))} numbers, which groups of "
        f"{quantization.group_size} do not divide; {advice}",
        param="kv_group_size",
    )


def _refusal(model_id: str, reason: str) -> UnsupportedParameter:
    return UnsupportedParameter(f"{model_id} cannot have kv_bits: {reason}; leave kv_bits out", param="kv_bits")
