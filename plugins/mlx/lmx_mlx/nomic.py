"""Nomic's encoder (arXiv 2402.01613): BERT with rotary positions, gated linear layers, and no biases in either.

Modules are named as in the checkpoints; this is our implementation, and the code that they bring is not run.
"""

from collections.abc import Mapping
from typing import Any

import mlx.core as mx
from attrs import frozen
from mlx import nn

from lmx_mlx.encoder import headless

PLAIN: Mapping[str, Any] = {
    "activation_function": "swiglu",
    "rotary_emb_fraction": 1.0,
    "rotary_emb_interleaved": False,
    "rotary_emb_scale_base": None,
    "prenorm": False,
    "parallel_block": False,
    "use_rms_norm": False,
    "qkv_proj_bias": False,
    "mlp_fc1_bias": False,
    "mlp_fc2_bias": False,
    "num_experts": 0,
}
"""Options of the configuration, and the one value of each that is computed here."""


@frozen(kw_only=True)
class NomicShape:
    """The sizes of such an encoder."""

    vocab_size: int
    hidden_size: int
    layers: int
    heads: int
    intermediate_size: int
    types: int
    epsilon: float
    rotary_base: float
    context_length: int
    """Beyond the length that it was trained at, Nomic stretches the positions: not here."""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "NomicShape":
        """Raises KeyError for a size that is missing, and ValueError for a variant that is computed differently."""
        for name, plain in PLAIN.items():
            if (config.get(name, plain) or None) != (plain or None):
                raise ValueError(f"{name} {config[name]} is not supported")
        return cls(
            vocab_size=config["vocab_size"],
            hidden_size=config["n_embd"],
            layers=config["n_layer"],
            heads=config["n_head"],
            intermediate_size=config["n_inner"],
            types=config.get("type_vocab_size", 2),
            epsilon=config.get("layer_norm_epsilon", 1e-12),
            rotary_base=config.get("rotary_emb_base", 10_000),
            context_length=min(config["n_positions"], config.get("max_trained_positions") or config["n_positions"]),
        )


class NomicEncoder(nn.Module):  # type: ignore[misc]  # mlx is untyped
    """Token ids (batch, length) and a mask of the same shape, to hidden states (batch, length, width)."""

    def __init__(self, shape: NomicShape) -> None:
        super().__init__()
        self.embeddings = Embeddings(shape)
        self.emb_ln = nn.LayerNorm(shape.hidden_size, shape.epsilon)
        self.encoder = Stack(shape)

    def __call__(self, tokens: Any, mask: Any) -> Any:
        """Hidden states of all places, padding included."""
        return self.encoder(self.emb_ln(self.embeddings(tokens)), mask[:, None, None, :])

    def sanitize(self, weights: Mapping[str, Any]) -> dict[str, Any]:
        """Without what other tasks need."""
        return headless(weights)


class Embeddings(nn.Module):  # type: ignore[misc]
    """Words, and the one type that single texts have."""

    def __init__(self, shape: NomicShape) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(shape.vocab_size, shape.hidden_size)
        self.token_type_embeddings = nn.Embedding(shape.types, shape.hidden_size)

    def __call__(self, tokens: Any) -> Any:
        """From ids (batch, length)."""
        return self.word_embeddings(tokens) + self.token_type_embeddings(mx.zeros_like(tokens))


class Stack(nn.Module):  # type: ignore[misc]
    """The layers."""

    def __init__(self, shape: NomicShape) -> None:
        super().__init__()
        self.layers = [Layer(shape) for _ in range(shape.layers)]

    def __call__(self, states: Any, mask: Any) -> Any:
        """From the first to the last."""
        for layer in self.layers:
            states = layer(states, mask)
        return states


class Layer(nn.Module):  # type: ignore[misc]
    """Attention over the whole text, then gated linear layers; normalised after each."""

    def __init__(self, shape: NomicShape) -> None:
        super().__init__()
        self.attn = Attention(shape)
        self.mlp = Gated(shape)
        self.norm1 = nn.LayerNorm(shape.hidden_size, shape.epsilon)
        self.norm2 = nn.LayerNorm(shape.hidden_size, shape.epsilon)

    def __call__(self, states: Any, mask: Any) -> Any:
        """One step of the stack."""
        states = self.norm1(self.attn(states, mask) + states)
        return self.norm2(self.mlp(states) + states)


class Attention(nn.Module):  # type: ignore[misc]
    """Scaled dot-product attention with rotary positions."""

    def __init__(self, shape: NomicShape) -> None:
        super().__init__()
        self.Wqkv = nn.Linear(shape.hidden_size, 3 * shape.hidden_size, bias=False)
        self.out_proj = nn.Linear(shape.hidden_size, shape.hidden_size, bias=False)
        self._heads = shape.heads
        self._rotate = nn.RoPE(shape.hidden_size // shape.heads, traditional=False, base=shape.rotary_base)

    def __call__(self, states: Any, mask: Any) -> Any:
        """One state per place, mixed from all places that the mask lets through."""
        batch, length, width = states.shape
        split = self.Wqkv(states).reshape(batch, length, 3, self._heads, width // self._heads)
        query, key, value = (split[:, :, part].transpose(0, 2, 1, 3) for part in range(3))
        query, key = self._rotate(query), self._rotate(key)
        mixed = mx.fast.scaled_dot_product_attention(query, key, value, scale=query.shape[-1] ** -0.5, mask=mask)
        return self.out_proj(mixed.transpose(0, 2, 1, 3).reshape(batch, length, width))


class Gated(nn.Module):  # type: ignore[misc]
    """SwiGLU (arXiv 2002.05202)."""

    def __init__(self, shape: NomicShape) -> None:
        super().__init__()
        self.fc11 = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.fc12 = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.fc2 = nn.Linear(shape.intermediate_size, shape.hidden_size, bias=False)

    def __call__(self, states: Any) -> Any:
        """Of the same width."""
        return self.fc2(self.fc11(states) * nn.silu(self.fc12(states)))
