"""The answer of a generation as server-sent events."""

import asyncio

from lmx_hookspecs import Context, Generation, Request, StreamResponse
from lmx_openai.chunks import ChunkEncoder, event
from lmx_openai.gather import served_by
from lmx_openai.relay import Relay


def deadline_of(ctx: Context, request: Request) -> float:
    """When a request that begins now has used up its time, on the clock of the event loop."""
    limit_s: float = ctx.services.config.section("models").inference_timeout_sec
    return asyncio.get_running_loop().time() + min(request.timeout_s or limit_s, limit_s)


async def stream(ctx: Context, generation: Generation, encoder: ChunkEncoder, deadline_s: float) -> StreamResponse:
    """Returns with the first piece, or after `server.headers_after_s`; until then a failure has a status of its own."""
    server = ctx.services.config.section("server")
    relay = Relay(generation, encoder, server.sse_heartbeat_interval_sec, deadline_s)
    try:
        await relay.first(server.headers_after_s)
    except BaseException:
        await relay.aclose()
        raise
    return StreamResponse(chunks=relay, headers=served_by(generation), failure=event)
