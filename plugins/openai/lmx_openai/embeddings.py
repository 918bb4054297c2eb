"""POST /v1/embeddings."""

import asyncio
import json
import sys
from array import array
from base64 import b64encode
from collections.abc import Sequence

from lmx_hookspecs import Context, EmbeddingRequest, Embeddings, Request, Response, TextResponse
from lmx_hookspecs.envelope import envelope_fields
from lmx_hookspecs.errors import InvalidRequest
from lmx_openai.gather import UNCOUNTED, served_by
from lmx_openai.requests import MAX_INPUTS, EmbeddingsRequest
from lmx_openai.unknown import check_unknown

VECTORS_A_TURN = 8
"""So many are written as text before others get their turn: a large batch must not hold running streams up."""


async def create_embeddings(ctx: Context, request: Request) -> Response:
    """Embed one or several inputs."""
    warnings = check_unknown(request)
    body: EmbeddingsRequest = request.body
    wanted = EmbeddingRequest(
        model=body.model,
        inputs=_inputs(body.input),
        dimensions=body.dimensions,
        **envelope_fields(request),
    )
    embeddings = await ctx.services.embed(wanted)
    return TextResponse(
        body=await _written(embeddings, body.encoding_format or "float", warnings),
        content_type="application/json",
        headers=served_by(embeddings),
    )


def _inputs(given: str | Sequence[int] | Sequence[str] | Sequence[Sequence[int]]) -> Sequence[str | Sequence[int]]:
    if isinstance(given, str):
        return (given,)
    inputs = (given,) if given and isinstance(given[0], int) else given
    if not 1 <= len(inputs) <= MAX_INPUTS or any(isinstance(one, Sequence) and not one for one in inputs):
        raise InvalidRequest(
            f"input must be a text, token ids, or a list of 1 to {MAX_INPUTS} of either, none of them empty",
            code="invalid_input",
            param="input",
        )
    return inputs  # type: ignore[return-value]  # a list of numbers was wrapped into one input above


async def _written(embeddings: Embeddings, encoding: str, warnings: Sequence[str]) -> str:
    """The answer as JSON; numbers take long to write, so others get their turn in between."""
    entries = []
    for index, vector in enumerate(embeddings.vectors):
        value = _base64(vector) if encoding == "base64" else list(vector)
        entries.append(json.dumps({"object": "embedding", "index": index, "embedding": value}, allow_nan=False))
        if index % VECTORS_A_TURN == VECTORS_A_TURN - 1:
            await asyncio.sleep(0)
    tokens = embeddings.prompt_tokens
    told = [*warnings, *([UNCOUNTED] if tokens is None else [])]
    rest = {"model": embeddings.model, "usage": {"prompt_tokens": tokens or 0, "total_tokens": tokens or 0}}
    tail = json.dumps({**rest, "warnings": told} if told else rest)
    return f'{{"object": "list", "data": [{", ".join(entries)}], {tail[1:]}'


def _base64(vector: Sequence[float]) -> str:
    floats = array("f", vector)
    if sys.byteorder == "big":
        floats.byteswap()
    return b64encode(floats.tobytes()).decode()
