"""POST /v1/chat/completions."""

from lmx_hookspecs import Context, JsonResponse, Request, Response
from lmx_openai.chunks import ChatShape, ChunkEncoder
from lmx_openai.gather import chat_choice, gather, identity, plain_usage, served_by, warned
from lmx_openai.streams import stream
from lmx_openai.translate import chat_generation
from lmx_openai.unknown import check_unknown


async def create_chat_completion(ctx: Context, request: Request) -> Response:
    """Answer a chat, as a whole or as a stream."""
    warnings = check_unknown(request)
    wanted = chat_generation(request)
    generation = await ctx.services.generate(wanted)
    answer = identity("chatcmpl-")
    if wanted.stream:
        encoder = ChunkEncoder(answer, ChatShape(), generation, wanted.choices, request.body.wants_usage, warnings)
        return stream(ctx, generation, encoder)
    choices, usage = await gather(generation, wanted.choices)
    plain = {
        **answer.head("chat.completion", generation.model),
        "choices": [
            chat_choice(index, choice, logprobs=wanted.logprobs is not None) for index, choice in enumerate(choices)
        ],
        "usage": plain_usage(usage),
    }
    return JsonResponse(body=warned(plain, warnings, generation.warnings), headers=served_by(generation))
