"""From a request to the rows that vllm-mlx is asked for, and the checks that it does not make."""

from collections.abc import Sequence

from attrs import evolve, frozen

from lmx_hookspecs import GenerationRequest, Sampling
from lmx_hookspecs.errors import ContextLengthExceeded, InvalidRequest
from lmx_vllm.prompts import Prompts, check_ids, prompt_field

MAX_STOP_CHARS = 4_096
"""Of all stop strings together: their automaton has a state for each."""


@frozen(kw_only=True)
class RowPlan:
    """One choice: what vllm-mlx is told."""

    index: int
    tokens: Sequence[int]
    max_tokens: int
    sampling: Sampling
    first_of_prompt: bool
    """Whether its cached tokens count: usage counts each prompt once, however many choices it has."""


@frozen(kw_only=True)
class Plan:
    """All choices of a request."""

    rows: Sequence[RowPlan]
    prompt_tokens: int


def planned(request: GenerationRequest, prompts: Prompts, context_length: int) -> Plan:
    """`n` rows for each prompt; raises InvalidRequest where the request cannot be served."""
    context = min(request.num_ctx or context_length, context_length)
    _check(request, context, prompts.vocab_size)
    sampling = within(request.sampling, prompts.vocab_size)
    token_lists = prompts.of(request)
    rows = [
        RowPlan(
            index=number * request.n + choice,
            tokens=tokens,
            max_tokens=room_for(len(tokens), request, context),
            sampling=_seeded(sampling, choice),
            first_of_prompt=choice == 0,
        )
        for number, tokens in enumerate(token_lists)
        for choice in range(request.n)
    ]
    return Plan(rows=rows, prompt_tokens=sum(map(len, token_lists)))


def room_for(prompt_tokens: int, request: GenerationRequest, context: int) -> int:
    """How many tokens the answer may have: what was asked for, or what is left of the context."""
    if prompt_tokens >= context:
        raise ContextLengthExceeded(
            f"the prompt has {prompt_tokens} tokens and the context {context}: nothing is left for an answer; "
            "shorten the prompt",
            param=prompt_field(request),
        )
    return min(request.max_tokens or context, context - prompt_tokens)


def within(sampling: Sampling, vocab_size: int) -> Sampling:
    """The same sampling; a `top_k` that keeps the whole vocabulary becomes 0."""
    return evolve(sampling, top_k=sampling.top_k if sampling.top_k < vocab_size else 0)


def _check(request: GenerationRequest, context: int, vocab_size: int) -> None:
    most = None if "max_tokens" in request.dispensable else context
    if request.max_tokens is not None and (request.max_tokens < 1 or (most is not None and request.max_tokens > most)):
        raise InvalidRequest(
            f"max_tokens is {request.max_tokens}; ask for 1 to {context}, the length of the context",
            param="max_tokens",
        )
    if sum(map(len, request.stop)) > MAX_STOP_CHARS:
        raise InvalidRequest(f"stop strings are longer than {MAX_STOP_CHARS} characters; shorten them", param="stop")
    check_ids(list(request.sampling.logit_bias), vocab_size, "logit_bias")


def _seeded(sampling: Sampling, choice: int) -> Sampling:
    """Choices differ, and the same request gives the same choices."""
    return sampling if sampling.seed is None or not choice else evolve(sampling, seed=sampling.seed + choice)
