"""Embeddings and reranking: what an engine is asked for beside text, and what comes back, all at once."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from attrs import frozen

from lmx_hookspecs.generation import Priority


@frozen(kw_only=True)
class EmbeddingRequest:
    """Texts, or token ids, to embed. The fields from `request_id` on are those of a GenerationRequest."""

    model: str
    inputs: Sequence[str | Sequence[int]]
    """Never empty; token ids need Capability.TOKEN_PROMPTS."""
    dimensions: int | None = None
    """Length of the vectors, for models that can shorten them; an engine that cannot raises UnsupportedParameter."""

    request_id: str = ""
    surface: str = "embeddings"
    stream: bool = False
    priority: Priority = "normal"
    key: str | None = None
    client: str | None = None
    timeout_s: float | None = None
    lenient: bool = False


@frozen(kw_only=True)
class Embeddings:
    """One vector per input, in the order of the inputs."""

    vectors: Sequence[Sequence[float]]
    prompt_tokens: int | None
    """Of all inputs together, from the tokenizer; None where nobody has counted them."""
    model: str = ""
    """What the answer calls the model, where that is not the id that it was loaded by."""
    served_by: str = ""
    """The id of the model that answered; the kernel fills it in."""


@frozen(kw_only=True)
class RerankRequest:
    """Documents to score against a query. The fields from `request_id` on are those of a GenerationRequest."""

    model: str
    query: str
    documents: Sequence[str]
    """Never empty."""
    top_n: int | None = None
    """At most so many results, the best; None is all."""

    request_id: str = ""
    surface: str = "rerank"
    stream: bool = False
    priority: Priority = "normal"
    key: str | None = None
    client: str | None = None
    timeout_s: float | None = None
    lenient: bool = False


@frozen
class RankedDocument:
    """A document by its place in the request, and how relevant it is: higher is better."""

    index: int
    score: float


@frozen(kw_only=True)
class Reranking:
    """The documents that were asked for, the most relevant first, each at most once."""

    results: Sequence[RankedDocument]
    total_tokens: int | None
    """Of the query and the documents; None where nobody has counted them."""
    model: str = ""
    """As in Embeddings."""
    served_by: str = ""
    """As in Embeddings."""


@runtime_checkable
class EmbeddingEngine(Protocol):
    """A TextEngine with Capability.EMBED has this method too."""

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """Embed all inputs; cancelling it ends the work."""


@runtime_checkable
class EmbeddingStepEngine(Protocol):
    """A StepEngine with Capability.EMBED has this method too."""

    def embed(self, inputs: Sequence[Sequence[int]]) -> Sequence[Sequence[float]]:
        """One vector per input of token ids, none empty, all within the vocabulary and the context.

        Called between two steps by the thread that makes every call; the host hands over so few inputs at a time that
        running rows are not held up for long, and those of one request may come in several calls. An exception means
        that this request failed. `dimensions` is the host's: it shortens and renormalises the vectors, where
        `EngineDescription.details["matryoshka"]` is true.
        """


@runtime_checkable
class RerankingEngine(Protocol):
    """A TextEngine with Capability.RERANK has this method too."""

    async def rerank(self, request: RerankRequest) -> Reranking:
        """Score the documents; cancelling it ends the work."""
