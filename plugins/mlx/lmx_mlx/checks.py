"""What would make MLX abort the process, refused before a row enters the engine."""

from collections.abc import Mapping, Sequence

from lmx_hookspecs import TokenRequest
from lmx_hookspecs.errors import ContextLengthExceeded, InvalidRequest
from lmx_mlx.model import LoadedModel


def check_request(request: TokenRequest, model: LoadedModel) -> None:
    """Raises InvalidRequest for what this model cannot run."""
    if not request.tokens:
        raise InvalidRequest("the prompt has no tokens; send at least one", param="prompt")
    if request.max_tokens < 1:
        raise InvalidRequest("max_tokens must be at least 1", param="max_tokens")
    if len(request.tokens) >= model.context_length:
        raise ContextLengthExceeded(
            f"the prompt has {len(request.tokens)} tokens and the context {model.context_length}; shorten it",
        )
    _check_ids(request.tokens, model.vocab_size, "prompt")
    _check_ids(request.sampling.logit_bias, model.vocab_size, "logit_bias")
    if request.sampling.repetition_penalty <= 0:
        raise InvalidRequest("repetition_penalty must be above 0", param="repetition_penalty")


def _check_ids(ids: Sequence[int] | Mapping[int, float], vocab_size: int, param: str) -> None:
    if ids and not 0 <= min(ids) <= max(ids) < vocab_size:
        raise InvalidRequest(
            f"{param} has token ids outside 0 to {vocab_size - 1}, this model's vocabulary", param=param
        )
