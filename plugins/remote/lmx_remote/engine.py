"""The engine of one model that is served elsewhere: it asks one node, and another if that cannot answer."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import TypeVar

from attrs import define, evolve, field

from lmx_hookspecs import (
    EmbeddingRequest,
    Embeddings,
    EngineDescription,
    GenerationRequest,
    Piece,
    Reranking,
    RerankRequest,
)
from lmx_hookspecs.errors import Busy, EngineFailed, InvalidRequest, ModelNotFound, Unavailable
from lmx_remote import wire
from lmx_remote.answers import AnswerReader
from lmx_remote.catalogue import Endpoint, least_busy, names_of
from lmx_remote.link import Link
from lmx_remote.nodes import Nodes
from lmx_remote.vectors import embeddings_of, reranking_of

R = TypeVar("R", EmbeddingRequest, RerankRequest)
T = TypeVar("T")

OF_THE_NODE = (Busy, EngineFailed, Unavailable)
"""Another node may do better."""
MOST_ATTEMPTS = 2
AT_WORK = Piece()
"""Of an answer that is held until it is complete, ahead of that: it says nothing but that there is one."""
ENCODING = "encoding_format"
"""What a node speaks of that only sends vectors as numbers."""


@define(eq=False)
class RemoteEngine:
    """A TextEngine that embeds and reranks as well, where its node does."""

    model_id: str
    nodes: Nodes
    _last_seen: Sequence[Endpoint] = field(init=False)
    """Where the model was served when that was last looked up: a node may forget it."""

    def __attrs_post_init__(self) -> None:
        self._last_seen = self.nodes.endpoints(self.model_id)

    async def generate(self, request: GenerationRequest) -> AsyncIterator[Piece]:
        """The node's pieces; as long as nobody can have seen any, another node may be asked."""
        ask = _pieces if request.stream else _held_pieces
        tried: list[Endpoint] = []
        begun = False
        while True:
            endpoint = self._next(tried)
            try:
                async with aclosing(ask(endpoint, request)) as pieces:
                    async for piece in pieces:
                        begun = piece is not AT_WORK
                        yield piece
            except OF_THE_NODE:
                if begun or not self._may_go_on(tried):
                    raise
            else:
                return

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """The node's vectors."""
        return evolve(await self._answer(_embed, request), model=self.nodes.shown_name(self.model_id))

    async def rerank(self, request: RerankRequest) -> Reranking:
        """The node's order."""
        return evolve(await self._answer(_rerank, request), model=self.nodes.shown_name(self.model_id))

    def describe(self) -> EngineDescription:
        """What each of its nodes can do; nothing of it takes memory here."""
        endpoints = self._seen()
        lengths = [endpoint.served.context_length for endpoint in endpoints if endpoint.served.context_length]
        return EngineDescription(
            context_length=min(lengths, default=0),
            capabilities=frozenset.intersection(*(endpoint.served.capabilities for endpoint in endpoints)),
            memory_bytes=0,
            max_rows=sum(endpoint.node.max_concurrent for endpoint in endpoints),
            details={
                "node": names_of(endpoints),
                "nodes": {endpoint.node.name: endpoint.node.healthy for endpoint in endpoints},
            },
        )

    async def close(self) -> None:
        """The connections belong to the nodes."""

    async def _answer(self, ask: Callable[[Endpoint, Link, R], Awaitable[T]], request: R) -> T:
        tried: list[Endpoint] = []
        while True:
            endpoint = self._next(tried)
            try:
                async with endpoint.node.call(endpoint.served.name) as link:
                    return await ask(endpoint, link, request)
            except OF_THE_NODE:
                if not self._may_go_on(tried):
                    raise

    def _seen(self) -> Sequence[Endpoint]:
        with suppress(ModelNotFound):
            self._last_seen = self.nodes.endpoints(self.model_id)
        return self._last_seen

    def _next(self, tried: list[Endpoint]) -> Endpoint:
        self._last_seen = endpoints = self.nodes.endpoints(self.model_id)
        endpoint = least_busy(endpoints, tried) or endpoints[0]
        tried.append(endpoint)
        return endpoint

    def _may_go_on(self, tried: Sequence[Endpoint]) -> bool:
        return len(tried) < MOST_ATTEMPTS and least_busy(self._last_seen, tried) is not None


async def _pieces(endpoint: Endpoint, request: GenerationRequest) -> AsyncGenerator[Piece, None]:
    async with endpoint.node.call(endpoint.served.name) as link:
        reader = AnswerReader(request, endpoint.node.name)
        body = wire.generation_body(request, endpoint.served.name)
        stream = link.stream(wire.generation_path(request), body, wire.headers_of(request))
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                for piece in reader.pieces(chunk):
                    yield piece
        last = reader.end()
    yield last  # whoever reads it stops reading: the call has to be counted by then


async def _held_pieces(endpoint: Endpoint, request: GenerationRequest) -> AsyncGenerator[Piece, None]:
    """The same, held until the answer is complete; `AT_WORK` comes when it has begun."""
    held: list[Piece] = []
    async with aclosing(_pieces(endpoint, request)) as pieces:
        async for piece in pieces:
            if not held:
                yield AT_WORK
            held.append(piece)
    for piece in held:
        yield piece


async def _embed(endpoint: Endpoint, link: Link, request: EmbeddingRequest) -> Embeddings:
    node, headers = endpoint.node, wire.headers_of(request)

    async def ask(encoding: wire.Encoding) -> Embeddings:
        body = wire.embedding_body(request, endpoint.served.name, encoding)
        read = partial(embeddings_of, request=request, node=node.name)
        return await link.post("/v1/embeddings", body, headers, node.total_s, read)

    try:
        return await ask("base64" if node.takes_base64 else "float")
    except InvalidRequest as error:
        if not node.takes_base64 or ENCODING not in f"{error.param} {error.message}":
            raise
        node.takes_base64 = False
        return await ask("float")


async def _rerank(endpoint: Endpoint, link: Link, request: RerankRequest) -> Reranking:
    body = wire.rerank_body(request, endpoint.served.name)
    read = partial(reranking_of, request=request, node=endpoint.node.name)
    return await link.post("/v1/rerank", body, wire.headers_of(request), endpoint.node.total_s, read)
