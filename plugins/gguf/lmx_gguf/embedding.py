"""Models that make one vector of a text: a StepEngine that embeds and does not generate."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from attrs import define, field

from lmx_gguf.batch import Batch
from lmx_gguf.capabilities import EMBEDDING
from lmx_gguf.llama_context import DecodeError, LlamaContext
from lmx_gguf.memory import Memory
from lmx_gguf.tokenizer import GgufTokenizer
from lmx_hookspecs import EngineDescription, Logger, TokenPiece, TokenRequest
from lmx_hookspecs.errors import ContextLengthExceeded, EngineFailed, InvalidRequest, UnsupportedParameter
from lmx_hookspecs.limits import Limits


@define(eq=False, kw_only=True)
class GgufEmbedder:
    """Inputs go into batches as many at a time as fit, each as a sequence of its own and in one piece."""

    tokenizer: GgufTokenizer
    context: LlamaContext
    limits: Limits
    memory: Memory
    log: Logger
    facts: Mapping[str, Any]
    release: Callable[[], None]
    _batch: Batch = field(init=False)

    @_batch.default
    def _empty(self) -> Batch:
        return Batch(self.context.shape.batch_tokens)

    def add(self, row: int, request: TokenRequest) -> None:  # noqa: ARG002  the engine's face
        """Refuse: there is no next token to predict."""
        raise UnsupportedParameter("this model makes embeddings and generates no text; ask another one", param="model")

    def cancel(self, row: int) -> None:
        """There are no rows."""

    def step(self) -> Sequence[TokenPiece]:
        """There are no rows."""
        return ()

    def embed(self, inputs: Sequence[Sequence[int]]) -> list[list[float]]:
        """A vector of length 1 for each input; raises InvalidRequest for what llama.cpp would abort on."""
        for tokens in inputs:
            self._check(tokens)
        return [vector for some in self._batches(inputs) for vector in self._computed(some)]

    def trim(self) -> None:
        """Give back what the C library keeps for reuse."""
        self.log.debug("cache_trimmed", freed_bytes=self.memory.trim())

    def describe(self) -> EngineDescription:
        """What it is and holds now."""
        return EngineDescription(
            context_length=self.limits.context_length,
            capabilities=EMBEDDING,
            memory_bytes=self.memory.used_bytes(),
            details={**self.facts, "memory": self.memory.reading(), "trims": self.memory.trims()},
        )

    def close(self) -> None:
        """Give all of llama.cpp's memory back."""
        self.release()

    def _check(self, tokens: Sequence[int]) -> None:
        if not tokens:
            raise InvalidRequest("an input has no tokens; leave it out", param="input")
        if len(tokens) > self.limits.context_length:
            raise ContextLengthExceeded(
                f"an input has {len(tokens)} tokens and the model reads {self.limits.context_length}; shorten it",
                param="input",
            )
        self.limits.check_ids(tokens, "input")

    def _batches(self, inputs: Sequence[Sequence[int]]) -> Iterator[Sequence[Sequence[int]]]:
        some: list[Sequence[int]] = []
        for tokens in inputs:
            full = len(some) == self.context.shape.sequences
            if some and (full or sum(map(len, some)) + len(tokens) > self._batch.capacity):
                yield some
                some = []
            some.append(tokens)
        if some:
            yield some

    def _computed(self, inputs: Sequence[Sequence[int]]) -> list[list[float]]:
        self._batch.clear()
        for sequence, tokens in enumerate(inputs):
            self._batch.add(sequence, tokens, 0, len(tokens))
        self.context.clear()
        try:
            self.context.decode(self._batch)
            return [_normalised(self.context.vector(sequence)) for sequence in range(len(inputs))]
        except DecodeError as error:
            raise EngineFailed(f"the inputs could not be embedded: {error}") from error


def _normalised(vector: Any) -> list[float]:
    length = float(np.sqrt(vector @ vector))
    if not np.isfinite(length):
        raise EngineFailed("the model gave a vector that is not finite; its file may be damaged")
    numbers: list[float] = (vector / length if length else vector).tolist()
    return numbers
