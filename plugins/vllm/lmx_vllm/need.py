"""What a model will take once it is loaded, from its files; called in the kernel, without vllm-mlx."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lmx_hookspecs import MemoryNeed, ModelInfo

VALUE_BYTES: Mapping[str, int] = {"float32": 4, "bfloat16": 2, "float16": 2}
USUAL_VALUE_BYTES = 2
LAYERS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers")
HEADS = ("num_attention_heads", "n_head", "num_heads")
KV_HEADS = ("num_key_value_heads", "num_kv_heads", "num_attention_groups")
WIDTH = ("hidden_size", "n_embd", "d_model")


def memory_need(model: ModelInfo) -> MemoryNeed:
    """Weights, and the KV cache of a token for plain attention, in the type they are loaded in.

    On Linux, where the extra `vllm` brings MLX for the CPU, 16 bits become 32. For models whose layers differ, or keep
    latent vectors, the cache of all heads in all layers is an upper bound.
    """
    text = _text_config(read_config(model.path)) if model.path else {}
    value_bytes = _value_bytes(text)
    widened = sys.platform == "linux" and value_bytes == USUAL_VALUE_BYTES and not _quantised(text)
    factor = 2 if widened else 1
    return MemoryNeed(
        weight_bytes=factor * model.size_bytes, kv_bytes_per_token=factor * kv_bytes_per_token(text, value_bytes)
    )


def kv_bytes_per_token(text: Mapping[str, Any], value_bytes: int) -> int:
    """Keys and values of all layers; 0 where the configuration does not tell."""
    heads = _number(text, HEADS)
    head = _number(text, ["head_dim"]) or (_number(text, WIDTH) // heads if heads else 0)
    return 2 * _number(text, LAYERS) * (_number(text, KV_HEADS) or heads) * head * value_bytes


def _text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    nested = config.get("text_config")
    return {**config, **nested} if isinstance(nested, dict) else config


def _value_bytes(text: Mapping[str, Any]) -> int:
    kind = text.get("dtype") or text.get("torch_dtype")
    return VALUE_BYTES.get(kind, USUAL_VALUE_BYTES) if isinstance(kind, str) else USUAL_VALUE_BYTES


def _quantised(text: Mapping[str, Any]) -> bool:
    return "quantization" in text or "quantization_config" in text


def read_config(folder: Path) -> Mapping[str, Any]:
    """The model's `config.json`; empty where it cannot be read."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # loading such a model fails with a message of its own
    return config if isinstance(config, dict) else {}


def _number(text: Mapping[str, Any], names: Sequence[str]) -> int:
    found = (text.get(name) for name in names)
    return next((value for value in found if type(value) is int and value > 0), 0)
