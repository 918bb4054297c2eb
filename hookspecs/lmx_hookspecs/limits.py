"""What would make an engine's library abort or fail, refused before a row enters a step engine."""

from collections.abc import Collection

from attrs import frozen

from lmx_hookspecs.engines import TokenRequest
from lmx_hookspecs.errors import ContextLengthExceeded, InvalidRequest


@frozen
class Limits:
    """What a model can take."""

    context_length: int
    vocab_size: int

    def check(self, request: TokenRequest) -> None:
        """Raises InvalidRequest for what this model cannot run."""
        if not request.tokens:
            raise InvalidRequest("the prompt has no tokens; send at least one", param="prompt")
        if request.max_tokens < 1:
            raise InvalidRequest("max_tokens must be at least 1", param="max_tokens")
        if len(request.tokens) >= self.context_length:
            raise ContextLengthExceeded(
                f"the prompt has {len(request.tokens)} tokens and the context {self.context_length}; shorten it",
            )
        self.check_ids(request.tokens, "prompt")
        self.check_ids(request.sampling.logit_bias, "logit_bias")
        if request.sampling.repetition_penalty <= 0:
            raise InvalidRequest("repetition_penalty must be above 0", param="repetition_penalty")

    def check_ids(self, ids: Collection[int], param: str) -> None:
        """Raises InvalidRequest for ids beyond the vocabulary.

        MLX aborts the process for one, and llama.cpp refuses the batch of all rows.
        """
        if ids and not 0 <= min(ids) <= max(ids) < self.vocab_size:
            raise InvalidRequest(
                f"{param} has token ids outside 0 to {self.vocab_size - 1}, this model's vocabulary", param=param
            )
