"""The answer of a generation as server-sent events."""

from functools import partial

from lmx_hookspecs import Context, Generation, StreamResponse
from lmx_hookspecs.relay import relayed
from lmx_openai.chunks import ChunkEncoder, event
from lmx_openai.gather import served_by


def stream(ctx: Context, generation: Generation, encoder: ChunkEncoder) -> StreamResponse:
    """Opens with the first piece."""
    return relayed(ctx, generation, encoder, headers=partial(served_by, generation), failure=event)
