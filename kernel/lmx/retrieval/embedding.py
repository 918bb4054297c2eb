"""Vectors for the store: texts go to the embedder in batches, and come back as bytes."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from attrs import frozen

from lmx.workers import vectors
from lmx_hookspecs.embedding import EmbeddingRequest, Embeddings
from lmx_hookspecs.errors import EngineFailed, InvalidRequest, UnsupportedParameter
from lmx_hookspecs.ingestion import IngestRequest
from lmx_hookspecs.queries import RetrieveRequest

Embed = Callable[[EmbeddingRequest], Awaitable[Embeddings]]
ENVELOPE = ("request_id", "surface", "priority", "key", "client", "timeout_s", "lenient")


@frozen(kw_only=True)
class Embedded:
    """Vectors in the order of their texts."""

    vectors: Sequence[bytes]
    model: str
    """The id of the model that made them."""
    dimensions: int
    tokens: int


@frozen(kw_only=True)
class Embedder:
    """One model, asked on behalf of one request."""

    embed: Embed
    model: str
    dimensions: int | None
    request: IngestRequest | RetrieveRequest

    async def vectors_of(self, texts: Sequence[str]) -> Embedded:
        """One call; raises what `Services.embed` raises, and InvalidRequest (`dimension_mismatch`)."""
        answer = await self._answer(texts)
        made = [vectors.to_wire(vector) for vector in answer.vectors]
        dimensions = len(answer.vectors[0])
        if self.dimensions is not None and dimensions != self.dimensions:
            raise InvalidRequest(
                f"model {answer.served_by!r} makes vectors of {dimensions} dimensions; {self.dimensions} are needed",
                code="dimension_mismatch",
                param="model",
            )
        return Embedded(vectors=made, model=answer.model, dimensions=dimensions, tokens=answer.prompt_tokens or 0)

    async def _answer(self, texts: Sequence[str]) -> Embeddings:
        try:
            return await self.embed(self._asked(texts, self.dimensions))
        except UnsupportedParameter as error:
            if error.param != "dimensions":
                raise
            return await self.embed(self._asked(texts, None))  # its vectors may have that length as they are

    def _asked(self, texts: Sequence[str], dimensions: int | None) -> EmbeddingRequest:
        return EmbeddingRequest(model=self.model, inputs=texts, dimensions=dimensions, **envelope(self.request))


def envelope(request: IngestRequest | RetrieveRequest) -> dict[str, Any]:
    """What a call on behalf of a request has in common with it."""
    return {name: getattr(request, name) for name in ENVELOPE}


def same_model(first: str, then: str) -> None:
    """Raise EngineFailed where two calls of one request were answered by different models."""
    if first != then:
        raise EngineFailed(
            f"the vectors came from {first!r} and then from {then!r}, which cannot be mixed; "
            "the first one has become unavailable: try again later"
        )
