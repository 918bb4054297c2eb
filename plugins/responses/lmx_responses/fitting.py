"""How many excerpts a prompt may hold: within the configured tokens, and within the model's context."""

from collections.abc import Callable, Sequence

from attrs import evolve

from lmx_hookspecs import Context, GenerationRequest, TokenCount
from lmx_hookspecs.errors import ContextLengthExceeded, ModelNotFound, UnsupportedParameter
from lmx_responses.sources import Source, within

MOST_FOR_ANSWERS = 1024
"""Tokens that are left for an answer of no given length, at most a quarter of the context."""


async def fitted(
    ctx: Context, shown: Callable[[Sequence[Source]], GenerationRequest], sources: Sequence[Source], tokens: int
) -> tuple[GenerationRequest, list[Source]]:
    """The request with the best of the excerpts, counted by the model's own tokenizer where it can count."""
    kept = within(sources, tokens)
    while kept and not await _fits(ctx, shown(kept)):
        kept = kept[: len(kept) // 2]
    return shown(kept), kept


async def _fits(ctx: Context, request: GenerationRequest) -> bool:
    try:
        count = await ctx.services.count_tokens(evolve(request, context_policy="error"))
    except ContextLengthExceeded:
        return False
    except UnsupportedParameter:
        return True  # it cannot count, or not do what is asked of it: then the generation says so
    context = await _context(ctx, request, count)
    return context is None or count.prompt_tokens + _answer_tokens(request, context) <= context


async def _context(ctx: Context, request: GenerationRequest, count: TokenCount) -> int | None:
    try:
        status = await ctx.services.models.get(count.model)
    except ModelNotFound:
        return request.num_ctx
    known = [length for length in (status.context_length, request.num_ctx) if length]
    return min(known) if known else None


def _answer_tokens(request: GenerationRequest, context: int) -> int:
    return min(request.max_tokens or MOST_FOR_ANSWERS, context // 4)
