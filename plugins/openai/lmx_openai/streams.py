"""The answer of a generation as server-sent events."""

from lmx_hookspecs import Context, Generation, StreamResponse
from lmx_hookspecs.relay import relayed
from lmx_openai.chunks import ChunkEncoder, event
from lmx_openai.gather import served_by


async def stream(ctx: Context, generation: Generation, encoder: ChunkEncoder) -> StreamResponse:
    """Returns with the first piece, or a little later."""
    relay = await relayed(ctx, generation, encoder)
    return StreamResponse(chunks=relay, headers=served_by(generation), failure=event)
