"""From the inputs of an embedding request to token ids, with the checks without which an engine may abort."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import define, field

from lmx.workers.preparation import check_token_ids
from lmx_hookspecs.embedding import EmbeddingRequest
from lmx_hookspecs.engines import Tokenizer
from lmx_hookspecs.errors import ContextLengthExceeded, InvalidRequest, UnsupportedParameter

SLICE_S = 0.05
"""For so long a large request may keep others from being prepared."""


@define(eq=False)
class Inputs:
    """The inputs of one request; `advance` until it says that all are tokens."""

    id: int
    request: EmbeddingRequest
    _tokenizer: Tokenizer
    _context_length: int
    _clock: Callable[[], float] = time.monotonic
    tokens: list[list[int]] = field(factory=list, init=False)

    def advance(self) -> bool:
        """Turn some more inputs into tokens; raises InvalidRequest for one that cannot be embedded."""
        until_s = self._clock() + SLICE_S
        for given in self.request.inputs[len(self.tokens) :]:
            self.tokens.append(self._tokens(given, len(self.tokens)))
            if self._clock() >= until_s:
                break
        return len(self.tokens) == len(self.request.inputs)

    def _tokens(self, given: str | Sequence[int], place: int) -> list[int]:
        if not isinstance(given, str):
            check_token_ids(given, self._tokenizer.vocab_size, "input")
        tokens = self._tokenizer.encode(given) if isinstance(given, str) else list(given)
        name = f"input[{place}]" if len(self.request.inputs) > 1 else "input"
        if not tokens:
            raise InvalidRequest(f"{name} has no tokens; send at least one", param="input")
        if len(tokens) > self._context_length:
            raise ContextLengthExceeded(
                f"{name} has {len(tokens)} tokens and the context {self._context_length}; shorten it", param="input"
            )
        return tokens


def check_dimensions(wanted: int | None, details: Mapping[str, Any]) -> None:
    """Raise UnsupportedParameter for vectors that are to be shorter than those of a model which cannot shorten them."""
    if wanted is None or details.get("matryoshka") is True or wanted == details.get("dimensions"):
        return
    raise UnsupportedParameter(
        "dimensions is not supported by this model, whose vectors have one length; leave it out", param="dimensions"
    )
