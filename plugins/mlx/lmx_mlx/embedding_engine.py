"""The engine of models that make vectors instead of text."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import mlx.core as mx
import numpy as np
from attrs import define, frozen

from lmx_hookspecs import Capability, EngineDescription, TokenPiece, TokenRequest
from lmx_hookspecs.errors import InvalidRequest
from lmx_mlx.memory import Memory
from lmx_mlx.tokenizer import MlxTokenizer

MOST_TOKENS = 8192
"""Of one pass, padding included."""

LITTLE = 16
"""Tokens up to which padding costs nothing."""

States = Callable[[Any, Any], Any]
"""Ids (batch, length) and a mask of what is no padding, to hidden states (batch, length, width)."""


@frozen(eq=False, kw_only=True)
class Embedder:
    """A network with what makes one vector of a text."""

    states: States
    pool: Callable[[Any, Any], Any]
    tokenizer: MlxTokenizer
    context_length: int
    details: Mapping[str, Any]

    def vectors(self, inputs: Sequence[Sequence[int]]) -> Any:
        """Of so few inputs that one pass takes them, padded behind to the longest."""
        longest = max(map(len, inputs))
        tokens = mx.array([[*tokens, *[0] * (longest - len(tokens))] for tokens in inputs])
        mask = mx.array([[True] * len(tokens) + [False] * (longest - len(tokens)) for tokens in inputs])
        return np.array(self.pool(self.states(tokens, mask), mask))


@define(eq=False, kw_only=True)
class MlxEmbeddingEngine:
    """A StepEngine with no rows; every call comes from the thread that made it."""

    model: Embedder
    memory: Memory
    embedded: int = 0

    @property
    def tokenizer(self) -> MlxTokenizer:
        """The model's tokenizer."""
        return self.model.tokenizer

    def embed(self, inputs: Sequence[Sequence[int]]) -> Sequence[Sequence[float]]:
        """One vector per input; inputs of like length share a pass."""
        vectors: list[list[float]] = [[] for _ in inputs]
        for group in _groups([len(tokens) for tokens in inputs]):
            for place, vector in zip(group, self.model.vectors([inputs[place] for place in group]), strict=True):
                vectors[place] = vector.tolist()
        self.embedded += len(inputs)
        return vectors

    def add(self, row: int, request: TokenRequest) -> None:  # noqa: ARG002  the contract's names
        """Raises InvalidRequest: there is no text to be had."""
        raise InvalidRequest("this model makes embeddings and no text; ask /v1/embeddings", param="model")

    def cancel(self, row: int) -> None:
        """Nothing: there are no rows."""

    def step(self) -> Sequence[TokenPiece]:
        """Nothing: there are no rows."""
        return ()

    def trim(self) -> None:
        """Give back what MLX and the C library keep for reuse."""
        self.memory.trim()

    def describe(self) -> EngineDescription:
        """What it is and holds now."""
        return EngineDescription(
            context_length=self.model.context_length,
            capabilities=frozenset({Capability.EMBED, Capability.TOKEN_PROMPTS}),
            memory_bytes=self.memory.used_bytes(),
            details={**self.model.details, "embedded": self.embedded, "memory": self.memory.reading()},
        )

    def close(self) -> None:
        """Give Metal's limit back."""
        self.memory.restore()


def _groups(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Places in groups of like length, none with more than `MOST_TOKENS` padded tokens unless it is one text."""
    group: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        length = lengths[place]
        if group and ((len(group) + 1) * length > MOST_TOKENS or length > 2 * max(lengths[group[0]], LITTLE)):
            yield group
            group = []
        group.append(place)
    if group:
        yield group
