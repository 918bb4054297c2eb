"""Encoders in NumPy, written from their papers, to hold the engine's against."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

from encoder_support import NOMIC


def reference(folder: Path, tokens: Sequence[int], *, prefix: str = "") -> Any:
    """The states of all tokens, by the paper and in NumPy."""
    arrays: Any = mx.load(str(folder / "model.safetensors"))
    weights = {name.removeprefix(prefix): np.array(array.astype(mx.float32)) for name, array in arrays.items()}
    config = json.loads((folder / "config.json").read_text())
    heads, epsilon = config["num_attention_heads"], config["layer_norm_eps"]
    first = 0 if config["model_type"] == "bert" else config["pad_token_id"] + 1

    def linear(states: Any, name: str) -> Any:
        return states @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def normalised(states: Any, name: str) -> Any:
        centred = states - states.mean(-1, keepdims=True)
        return (
            centred / np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon) * weights[f"{name}.weight"]
            + weights[f"{name}.bias"]
        )

    def split(states: Any) -> Any:
        return states.reshape(len(tokens), heads, -1).transpose(1, 0, 2)

    states = weights["embeddings.word_embeddings.weight"][list(tokens)]
    states = states + weights["embeddings.position_embeddings.weight"][first : first + len(tokens)]
    states = normalised(states + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}"
        query, key, value = (split(linear(states, f"{layer}.attention.self.{n}")) for n in ("query", "key", "value"))
        scores = query @ key.transpose(0, 2, 1) / math.sqrt(query.shape[-1])
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (shares / shares.sum(-1, keepdims=True)) @ value
        mixed = linear(mixed.transpose(1, 0, 2).reshape(len(tokens), -1), f"{layer}.attention.output.dense")
        states = normalised(states + mixed, f"{layer}.attention.output.LayerNorm")
        inner = linear(states, f"{layer}.intermediate.dense")
        inner = inner * 0.5 * (1 + np.vectorize(math.erf)(inner / math.sqrt(2)))
        states = normalised(states + linear(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
    return states


def nomic_reference(folder: Path, tokens: Sequence[int]) -> Any:
    """The states of all tokens in Nomic's encoder."""
    arrays: Any = mx.load(str(folder / "model.safetensors"))
    weights = {name: np.array(array) for name, array in arrays.items()}
    width, heads = NOMIC["n_embd"], NOMIC["n_head"]
    half = width // heads // 2
    angles = np.outer(np.arange(len(tokens)), NOMIC["rotary_emb_base"] ** (-np.arange(half) / half))

    def normalised(states: Any, name: str) -> Any:
        centred = states - states.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + NOMIC["layer_norm_epsilon"])
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def turned(part: Any) -> Any:
        left, right = part[..., :half], part[..., half:]
        return np.concatenate(
            [left * np.cos(angles) - right * np.sin(angles), right * np.cos(angles) + left * np.sin(angles)], axis=-1
        )

    states = weights["embeddings.word_embeddings.weight"][list(tokens)]
    states = normalised(states + weights["embeddings.token_type_embeddings.weight"][0], "emb_ln")
    for number in range(NOMIC["n_layer"]):
        layer = f"encoder.layers.{number}"
        thirds = np.split(states @ weights[f"{layer}.attn.Wqkv.weight"].T, 3, axis=-1)
        query, key, value = (third.reshape(len(tokens), heads, -1).transpose(1, 0, 2) for third in thirds)
        scores = turned(query) @ turned(key).transpose(0, 2, 1) / math.sqrt(2 * half)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (shares / shares.sum(-1, keepdims=True) @ value).transpose(1, 0, 2).reshape(len(tokens), -1)
        states = normalised(states + mixed @ weights[f"{layer}.attn.out_proj.weight"].T, f"{layer}.norm1")
        gate = states @ weights[f"{layer}.mlp.fc12.weight"].T
        inner = states @ weights[f"{layer}.mlp.fc11.weight"].T * gate / (1 + np.exp(-gate))
        states = normalised(states + inner @ weights[f"{layer}.mlp.fc2.weight"].T, f"{layer}.norm2")
    return states
