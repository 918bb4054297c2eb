"""POST /api/embed and /api/embeddings."""

import time
from collections.abc import Sequence
from math import sqrt

from lmx_hookspecs import Context, EmbeddingRequest, JsonResponse, Request, Response
from lmx_hookspecs.envelope import envelope_fields
from lmx_hookspecs.errors import InvalidRequest
from lmx_ollama.answers import Clock
from lmx_ollama.generation import is_ready
from lmx_ollama.keep_alive import apply, keep_alive_of
from lmx_ollama.names import real_name
from lmx_ollama.options import dropped, options_of
from lmx_ollama.requests import MAX_INPUTS


async def embed(ctx: Context, request: Request) -> Response:
    """Embed one or several texts, as vectors of length 1."""
    body = request.body
    inputs = [body.input] if isinstance(body.input, str) else list(body.input)
    if len(inputs) > MAX_INPUTS or (len(inputs) > 1 and not all(inputs)):
        raise InvalidRequest(f"input must be a text or up to {MAX_INPUTS} of them, none empty", param="input")
    warnings = [*dropped(request.unknown, lenient=request.lenient)]
    began_s, ready = time.monotonic(), await is_ready(ctx, await real_name(ctx, body.model))
    vectors, tokens = await _vectors(ctx, request, [text for text in inputs if text], body.dimensions)
    told = {
        "model": body.model,
        "embeddings": [_unit(vector) for vector in vectors],
        **Clock(began_s, 0.0 if ready else time.monotonic() - began_s).durations(),
        "prompt_eval_count": tokens,
    }
    return JsonResponse(body={**told, "warnings": warnings} if warnings else told)


async def embeddings(ctx: Context, request: Request) -> Response:
    """Embed one text."""
    warnings = dropped(request.unknown, lenient=request.lenient)
    vectors, _ = await _vectors(ctx, request, [request.body.prompt] if request.body.prompt else [], None)
    told = {"embedding": list(vectors[0]) if vectors else []}
    return JsonResponse(body={**told, "warnings": warnings} if warnings else told)


async def _vectors(
    ctx: Context, request: Request, inputs: Sequence[str], dimensions: int | None
) -> tuple[Sequence[Sequence[float]], int]:
    """Vectors, and how many tokens the inputs had; without inputs the model is only loaded, or unloaded."""
    options_of(request.body.options, lenient=request.lenient)
    keep_alive = keep_alive_of(request.body.keep_alive)
    name = await real_name(ctx, request.body.model)
    if not inputs:
        if not keep_alive.unloads:
            await ctx.services.models.load((await ctx.services.routing.resolve(name))[0], keep_alive.options())
        await apply(ctx, name, keep_alive)
        return [], 0
    answer = await ctx.services.embed(
        EmbeddingRequest(model=name, inputs=inputs, dimensions=dimensions, **envelope_fields(request))
    )
    await apply(ctx, name, keep_alive)
    return answer.vectors, answer.prompt_tokens or 0


def _unit(vector: Sequence[float]) -> Sequence[float]:
    length = sqrt(sum(value * value for value in vector))
    return [value / length for value in vector] if length else list(vector)
