"""What a model will take once it is loaded, from its files; called in the kernel, so MLX is not imported."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from lmx_hookspecs import MemoryNeed, ModelInfo
from lmx_mlx.environment import runs_on_cpu
from lmx_mlx.settings import KvQuantization, Settings
from lmx_mlx.weights import (
    FLOAT32_BYTES,
    FLOAT_BYTES,
    Tensor,
    float_type,
    is_quantised,
    makes_embeddings,
    read_config,
    tensors_of,
)

LAYERS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers")
WIDTH = ("hidden_size", "n_embd", "d_model")
HEADS = ("num_attention_heads", "n_head", "num_heads")
KV_HEADS = ("num_key_value_heads", "num_kv_heads", "num_attention_groups")
OTHER_KV_HEADS = ("num_global_key_value_heads", "swa_num_key_value_heads", "num_swa_key_value_heads")
"""Of the layers with another kind of attention: the larger number counts for all."""
HEAD = ("head_dim", "hidden_size_per_head")
OTHER_HEADS = ("global_head_dim", "swa_head_dim")
EXPANDED = frozenset({"deepseek_v2", "minicpm3", "youtu_llm"})
"""Models with latent attention whose caches mlx-lm keeps expanded to all heads."""
TWO_CACHES = frozenset({"longcat_flash", "longcat_flash_ngram"})
"""Models with two attentions in each layer."""


@frozen
class Vectors:
    """So many vectors of that length, for each token and layer."""

    count: int
    length: int


def memory_need(model: ModelInfo) -> MemoryNeed:
    """Weights in the type they are loaded in, and the KV cache of a token where the configuration tells its shape.

    An upper bound where layers differ: windows count as full, and so does each layer that may have a cache.
    """
    if model.path is None:
        return MemoryNeed(weight_bytes=model.size_bytes)
    config, tensors = read_config(model.path), tensors_of(model.path)
    upcast = runs_on_cpu() and not is_quantised(config)
    value_bytes = FLOAT32_BYTES if upcast else _value_bytes(config, tensors)
    weight_bytes = _weight_bytes(tensors, upcast=upcast) or model.size_bytes
    if makes_embeddings(model.path):
        return MemoryNeed(weight_bytes=weight_bytes)
    quantization = Settings.of(model.settings).kv_quantization
    return MemoryNeed(
        weight_bytes=weight_bytes, kv_bytes_per_token=kv_bytes_per_token(config, value_bytes, quantization)
    )


def kv_bytes_per_token(config: Mapping[str, Any], value_bytes: int, quantization: KvQuantization | None = None) -> int:
    """Of all layers, with numbers of `value_bytes`; 0 where the configuration does not tell."""
    nested = config.get("text_config")
    text = {**config, **nested} if isinstance(nested, dict) else config
    of_a_layer = sum(
        vectors.count
        * (quantization.vector_bytes(vectors.length, value_bytes) if quantization else vectors.length * value_bytes)
        for vectors in _vectors(text)
    )
    return _cached_layers(text) * of_a_layer


def _weight_bytes(tensors: Sequence[Tensor], *, upcast: bool) -> int:
    return sum(tensor.float32_bytes if upcast else tensor.loaded_bytes for tensor in tensors)


def _value_bytes(config: Mapping[str, Any], tensors: Sequence[Tensor]) -> int:
    """Bytes of a number that the layers hand on: embeddings in the microscaling modes come out as bfloat16."""
    quantization = config.get("quantization")
    mode = quantization.get("mode", "affine") if isinstance(quantization, dict) else "affine"
    kept = float_type(tensors)
    return FLOAT32_BYTES if mode != "affine" and kept != "BF16" else FLOAT_BYTES.get(kept, 0)


def _vectors(text: Mapping[str, Any]) -> Sequence[Vectors]:
    """What one layer keeps of a token."""
    if _number(text, ["kv_lora_rank"]):
        return _latent_vectors(text)
    heads = _number(text, HEADS)
    kv_heads = max(_number(text, KV_HEADS) or heads, *(_number(text, [name]) for name in OTHER_KV_HEADS))
    own = _number(text, HEAD) or (_number(text, WIDTH) // heads if heads else 0)
    head = max(own, *(_number(text, [name]) for name in OTHER_HEADS))
    value = max(_number(text, ["v_head_dim"]) or head, _number(text, ["swa_v_head_dim"]))
    return [Vectors(kv_heads, head), Vectors(kv_heads, value)]


def _latent_vectors(text: Mapping[str, Any]) -> Sequence[Vectors]:
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434): a latent vector and a rotated key for all heads."""
    rank, rope = _number(text, ["kv_lora_rank"]), _number(text, ["qk_rope_head_dim"])
    if text.get("model_type") not in EXPANDED:
        indexer = _number(text, ["index_head_dim"])  # sparse attention keeps a key and an empty value
        return [Vectors(1, rank), Vectors(1, rope), Vectors(2, indexer)]
    heads, nope = _number(text, HEADS), _number(text, ["qk_nope_head_dim"])
    value = _number(text, ["v_head_dim"]) or _number(text, WIDTH) // max(1, heads)
    return [Vectors(heads, nope + rope), Vectors(heads, value)]


def _cached_layers(text: Mapping[str, Any]) -> int:
    """Layers with a cache that grows: those with attention, where the configuration tells them from the others."""
    layers = _number(text, LAYERS)
    kinds = text.get("layer_types") or text.get("layers_block_type")
    if isinstance(kinds, list):
        return sum("attention" in str(kind) and "linear" not in str(kind) for kind in kinds) or layers
    pattern, interval = text.get("hybrid_override_pattern"), _number(text, ["full_attention_interval"])
    if isinstance(pattern, str):
        return pattern.count("*")
    if interval:
        return layers // interval
    return layers * (2 if text.get("model_type") in TWO_CACHES else 1)


def _number(text: Mapping[str, Any], names: Sequence[str]) -> int:
    found = (text.get(name) for name in names)
    return next((value for value in found if type(value) is int and value > 0), 0)
