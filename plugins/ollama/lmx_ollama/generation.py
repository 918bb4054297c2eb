"""POST /api/chat and /api/generate."""

import time
from collections.abc import AsyncIterator
from functools import partial

from lmx_hookspecs import Context, GenerationRequest, JsonResponse, ModelState, Request, Response, StreamResponse
from lmx_hookspecs.errors import ModelNotFound
from lmx_hookspecs.wording import in_own_words, own_words
from lmx_ollama.answers import Answer, Clock, Content, chat_content, completion_content, without_answer
from lmx_ollama.keep_alive import apply, keep_alive_of, refuse_pinned
from lmx_ollama.names import real_name
from lmx_ollama.options import dropped, options_of
from lmx_ollama.stream import CONTENT_TYPE, Lines, error_line, line
from lmx_ollama.translate import NAMES, chat_generation, completion_generation


async def chat(ctx: Context, request: Request) -> Response:
    """Answer a chat; without messages, load or unload the model."""
    name = await real_name(ctx, request.body.model)
    warnings = dropped(request.unknown, lenient=request.lenient)
    options = options_of(request.body.options, lenient=request.lenient)
    if not request.body.messages:
        return await _load(ctx, request, name, chat_content)
    wanted = chat_generation(request, name, options)
    with own_words(NAMES):
        return await _answer(ctx, request, wanted, chat_content, [*warnings, *options.warnings])


async def generate(ctx: Context, request: Request) -> Response:
    """Continue a prompt; without one, load or unload the model."""
    name = await real_name(ctx, request.body.model)
    warnings = dropped(request.unknown, lenient=request.lenient)
    options = options_of(request.body.options, lenient=request.lenient)
    wanted = completion_generation(request, name, options)
    if not (request.body.prompt or request.body.suffix):
        return await _load(ctx, request, name, completion_content)
    with own_words(NAMES):
        return await _answer(ctx, request, wanted, completion_content, [*warnings, *options.warnings])


async def is_ready(ctx: Context, name: str) -> bool:
    """Whether the first model of that name is loaded."""
    try:
        status = await ctx.services.models.get((await ctx.services.routing.resolve(name))[0])
    except ModelNotFound:
        return False
    return status.state is ModelState.READY


async def _load(ctx: Context, request: Request, name: str, content: Content) -> Response:
    keep_alive = keep_alive_of(request.body.keep_alive)
    began_s = time.monotonic()
    model = (await ctx.services.routing.resolve(name))[0]
    if keep_alive.unloads:
        await refuse_pinned(ctx, model)
        await apply(ctx, name, keep_alive)
    else:
        await ctx.services.models.load(model, keep_alive.options())
    clock = Clock(began_s, 0.0 if keep_alive.unloads else time.monotonic() - began_s)
    told = without_answer(request.body.model, content, clock, "unload" if keep_alive.unloads else "load")
    if request.body.stream is False:
        return JsonResponse(body=told)
    return StreamResponse(chunks=_one(line(told)), content_type=CONTENT_TYPE, failure=error_line)


async def _one(chunk: bytes) -> AsyncIterator[bytes]:
    yield chunk


async def _answer(
    ctx: Context, request: Request, wanted: GenerationRequest, content: Content, warnings: list[str]
) -> Response:
    keep_alive = keep_alive_of(request.body.keep_alive)
    began_s, ready = time.monotonic(), await is_ready(ctx, wanted.model)
    generation = await ctx.services.generate(wanted)
    clock = Clock(began_s, 0.0 if ready else time.monotonic() - began_s)
    answer = Answer(request.body.model, generation, content, clock, warnings)
    ended = partial(apply, ctx, wanted.model, keep_alive)
    if wanted.stream:
        lines = Lines(generation, answer, ended)
        opening = in_own_words(NAMES, lines.opened)
        return StreamResponse(chunks=lines, content_type=CONTENT_TYPE, opening=opening, failure=error_line)
    try:
        told = await answer.whole()
    finally:
        await generation.aclose()
    await ended()
    return JsonResponse(body=told)
