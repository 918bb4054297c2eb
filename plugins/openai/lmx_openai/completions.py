"""POST /v1/completions."""

from lmx_hookspecs import Context, JsonResponse, Request, Response
from lmx_openai.chunks import ChunkEncoder, CompletionShape
from lmx_openai.gather import completion_choice, gather, identity, plain_usage, served_by, warned
from lmx_openai.streams import stream
from lmx_openai.translate import completion_generation
from lmx_openai.unknown import check_unknown


async def create_completion(ctx: Context, request: Request) -> Response:
    """Continue prompts, as a whole or as a stream."""
    warnings = check_unknown(request)
    wanted = completion_generation(request)
    generation = await ctx.services.generate(wanted)
    answer = identity("cmpl-")
    if wanted.stream:
        encoder = ChunkEncoder(
            answer, CompletionShape(), generation, wanted.choices, request.body.wants_usage, warnings
        )
        return stream(ctx, generation, encoder)
    choices, usage = await gather(generation, wanted.choices)
    plain = {
        **answer.head("text_completion", generation.model),
        "choices": [
            completion_choice(index, choice, logprobs=wanted.logprobs is not None)
            for index, choice in enumerate(choices)
        ],
        "usage": plain_usage(usage),
    }
    return JsonResponse(body=warned(plain, warnings, generation.warnings), headers=served_by(generation))
