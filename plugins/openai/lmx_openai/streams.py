"""The answer of a generation as server-sent events."""

from lmx_hookspecs import Context, Generation, StreamResponse
from lmx_openai.chunks import ChunkEncoder, event
from lmx_openai.gather import served_by
from lmx_openai.relay import Relay


async def stream(ctx: Context, generation: Generation, encoder: ChunkEncoder) -> StreamResponse:
    """Returns with the first piece, or after `server.headers_after_s`; until then a failure has a status of its own."""
    server = ctx.services.config.section("server")
    relay = Relay(generation, encoder, server.sse_heartbeat_interval_sec)
    try:
        await relay.first(server.headers_after_s)
    except BaseException:
        await relay.aclose()
        raise
    return StreamResponse(chunks=relay, headers=served_by(generation), failure=event)
