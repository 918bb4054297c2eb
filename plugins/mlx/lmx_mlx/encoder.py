"""Encoders of the BERT family (arXiv 1810.04805): BERT, RoBERTa, XLM-R. Modules are named as in the checkpoints.

mlx-lm has decoders only, and the package mlx-embeddings brings mlx-vlm, OpenCV and pandas with it.
"""

from collections.abc import Mapping
from typing import Any

import mlx.core as mx
from attrs import frozen
from mlx import nn

PREFIXES = ("bert.", "roberta.", "model.")
"""Under which checkpoints of whole tasks keep the encoder."""
UNUSED = ("pooler.", "cls.", "lm_head.", "classifier.", "qa_outputs.", "embeddings.position_ids")
"""Heads of other tasks."""
OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
ACTIVATIONS = {"gelu": nn.gelu, "gelu_new": nn.gelu_approx, "gelu_pytorch_tanh": nn.gelu_approx, "relu": nn.relu}


def headless(weights: Mapping[str, Any]) -> dict[str, Any]:
    """The encoder of a checkpoint, by its own names, without the heads of other tasks."""
    named: dict[str, Any] = {}
    for name, array in weights.items():
        prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix)), "")
        short = name.removeprefix(prefix)
        for old, new in OLD_NAMES.items():
            short = short.replace(old, new)
        if not short.startswith(UNUSED):
            named[short] = array
    return named


@frozen(kw_only=True)
class EncoderShape:
    """The sizes of an encoder; its configuration's other names for them are BERT's."""

    vocab_size: int
    hidden_size: int
    layers: int
    heads: int
    intermediate_size: int
    positions: int
    types: int
    epsilon: float
    activation: str
    first_position: int
    """RoBERTa counts positions from behind the padding id."""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "EncoderShape":
        """Raises KeyError for a size that is missing, and ValueError for a variant that is computed differently."""
        if config.get("position_embedding_type", "absolute") != "absolute":
            raise ValueError(f"position_embedding_type {config['position_embedding_type']} is not supported")
        if config.get("hidden_act", "gelu") not in ACTIVATIONS:
            raise ValueError(f"hidden_act {config['hidden_act']} is not supported")
        counts_behind_padding = config["model_type"] != "bert"
        return cls(
            vocab_size=config["vocab_size"],
            hidden_size=config["hidden_size"],
            layers=config["num_hidden_layers"],
            heads=config["num_attention_heads"],
            intermediate_size=config["intermediate_size"],
            positions=config["max_position_embeddings"],
            types=config.get("type_vocab_size", 2),
            epsilon=config.get("layer_norm_eps", 1e-12),
            activation=config.get("hidden_act", "gelu"),
            first_position=config.get("pad_token_id", 1) + 1 if counts_behind_padding else 0,
        )

    @property
    def context_length(self) -> int:
        """Tokens that there are positions for."""
        return self.positions - self.first_position


class Encoder(nn.Module):  # type: ignore[misc]  # mlx is untyped
    """Token ids (batch, length) and a mask of the same shape, to hidden states (batch, length, width)."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.embeddings = Embeddings(shape)
        self.encoder = Stack(shape)

    def __call__(self, tokens: Any, mask: Any) -> Any:
        """Hidden states of all places, padding included."""
        return self.encoder(self.embeddings(tokens), mask[:, None, None, :])

    def sanitize(self, weights: Mapping[str, Any]) -> dict[str, Any]:
        """Names of a checkpoint in ours, without what other tasks need."""
        return headless(weights)


class Embeddings(nn.Module):  # type: ignore[misc]
    """Words, positions and the one type that single texts have."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(shape.vocab_size, shape.hidden_size)
        self.position_embeddings = nn.Embedding(shape.positions, shape.hidden_size)
        self.token_type_embeddings = nn.Embedding(shape.types, shape.hidden_size)
        self.LayerNorm = nn.LayerNorm(shape.hidden_size, shape.epsilon)
        self._first_position = shape.first_position

    def __call__(self, tokens: Any) -> Any:
        """From ids (batch, length)."""
        positions = mx.arange(self._first_position, self._first_position + tokens.shape[1])
        types = self.token_type_embeddings(mx.zeros_like(tokens))
        return self.LayerNorm(self.word_embeddings(tokens) + self.position_embeddings(positions) + types)


class Stack(nn.Module):  # type: ignore[misc]
    """The layers."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.layer = [Layer(shape) for _ in range(shape.layers)]

    def __call__(self, states: Any, mask: Any) -> Any:
        """From the first to the last."""
        for layer in self.layer:
            states = layer(states, mask)
        return states


class Layer(nn.Module):  # type: ignore[misc]
    """Attention over the whole text, then two linear layers; normalised after each."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.attention = Attention(shape)
        self.intermediate = Dense(shape.hidden_size, shape.intermediate_size)
        self.output = Output(shape.intermediate_size, shape)
        self._activation = ACTIVATIONS[shape.activation]

    def __call__(self, states: Any, mask: Any) -> Any:
        """One step of the stack."""
        states = self.attention(states, mask)
        return self.output(self._activation(self.intermediate.dense(states)), states)


class Attention(nn.Module):  # type: ignore[misc]
    """`self` and `output`, as the checkpoints call them."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self["self"] = SelfAttention(shape)
        self.output = Output(shape.hidden_size, shape)

    def __call__(self, states: Any, mask: Any) -> Any:
        """What the heads say of the states, added to them."""
        return self.output(self["self"](states, mask), states)


class SelfAttention(nn.Module):  # type: ignore[misc]
    """Scaled dot-product attention over several heads."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.query = nn.Linear(shape.hidden_size, shape.hidden_size)
        self.key = nn.Linear(shape.hidden_size, shape.hidden_size)
        self.value = nn.Linear(shape.hidden_size, shape.hidden_size)
        self._heads = shape.heads

    def __call__(self, states: Any, mask: Any) -> Any:
        """One state per place, mixed from all places that the mask lets through."""
        query, key, value = (self._split(layer(states)) for layer in (self.query, self.key, self.value))
        mixed = mx.fast.scaled_dot_product_attention(query, key, value, scale=query.shape[-1] ** -0.5, mask=mask)
        return mixed.transpose(0, 2, 1, 3).reshape(states.shape)

    def _split(self, states: Any) -> Any:
        batch, length, width = states.shape
        return states.reshape(batch, length, self._heads, width // self._heads).transpose(0, 2, 1, 3)


class Dense(nn.Module):  # type: ignore[misc]
    """A linear layer under the name that the checkpoints give it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, outputs)


class Output(nn.Module):  # type: ignore[misc]
    """A linear layer whose result is added to what came before, and normalised."""

    def __init__(self, inputs: int, shape: EncoderShape) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, shape.hidden_size)
        self.LayerNorm = nn.LayerNorm(shape.hidden_size, shape.epsilon)

    def __call__(self, states: Any, before: Any) -> Any:
        """The sum, normalised."""
        return self.LayerNorm(self.dense(states) + before)
