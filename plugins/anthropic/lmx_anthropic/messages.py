"""POST /v1/messages and POST /v1/messages/count_tokens."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from lmx_anthropic.errors import envelope
from lmx_anthropic.events import EventEncoder, event
from lmx_anthropic.gather import gather, headers
from lmx_anthropic.thinking import is_shown
from lmx_anthropic.translate import NAMES, counted, generation
from lmx_anthropic.unknown import unsupported
from lmx_hookspecs import Context, Generation, JsonResponse, Request, Response, StreamResponse
from lmx_hookspecs.relay import relayed
from lmx_hookspecs.wording import own_words


async def create_message(ctx: Context, request: Request) -> Response:
    """Answer a chat, as a whole or as a stream."""
    dropped = unsupported(request)
    wanted = generation(request, dropped)
    shown = is_shown(request.body.thinking)
    with own_words(NAMES):
        running = await ctx.services.generate(wanted)
        if wanted.stream:
            return _stream(ctx, request, running, EventEncoder(running, dropped.warnings, shown))
        gathered = await gather(running)
    body = gathered.message(running.model, [*dropped.warnings, *running.warnings], shown=shown)
    return JsonResponse(body=body, headers=headers(running, request.id))


async def count_tokens(ctx: Context, request: Request) -> Response:
    """How many tokens the prompt of that chat has, by the tokenizer and the template of its model."""
    dropped = unsupported(request)
    count = await ctx.services.count_tokens(counted(request, dropped))
    body: dict[str, Any] = {"input_tokens": count.prompt_tokens}
    if dropped.warnings:
        body["warnings"] = dropped.warnings
    return JsonResponse(body=body, headers={"request-id": request.id})


def _stream(ctx: Context, request: Request, running: Generation, encoder: EventEncoder) -> StreamResponse:
    def failure(error: Mapping[str, Any]) -> bytes:
        return event(envelope(error, request.id))

    told = partial(headers, running, request.id)
    return relayed(ctx, running, encoder, headers=told, failure=failure, names=NAMES)
