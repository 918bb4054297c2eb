"""Files and vector stores over a retrieval service in memory, on a real socket."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from attrs import define, evolve, field
from openai import AsyncOpenAI

from fake_parts import FakeConfig
from http_support import FakeServices, Served, serving
from lmx.config.rag import Rag
from lmx.config.schema import Models, Routing, Security
from lmx.config.server import Server
from lmx_hookspecs import Embeddings, GenerationRequest, TokenCount
from lmx_hookspecs.errors import InvalidRequest, NotFound
from lmx_hookspecs.filters import matches, parse_filter
from lmx_hookspecs.ingestion import IngestedDocument, IngestReport, IngestRequest
from lmx_hookspecs.queries import FoundChunk, Retrieval, RetrieveRequest
from lmx_hookspecs.retrieval import (
    Chunk,
    CollectionInfo,
    CollectionSettings,
    Document,
    DocumentInfo,
    Hit,
    StoredDocument,
)
from lmx_hookspecs.retrieving import Keeper
from lmx_vectorstores import lmx_surfaces
from lmx_vectorstores.config import VectorStoresConfig

DIMENSIONS = 4


@define(eq=False)
class MemoryStore:
    """The part of a store that vector stores use."""

    collections: dict[str, dict[str, Document]] = field(factory=dict)
    settings: dict[str, CollectionSettings] = field(factory=dict)
    trouble: Exception | None = None
    """Raised by every deletion and change."""

    async def create(self, collection: str, settings: CollectionSettings) -> Any:
        self.collections[collection], self.settings[collection] = {}, settings

    async def collection(self, collection: str) -> CollectionInfo:
        documents = self.documents_of(collection)
        return CollectionInfo(
            name=collection,
            embedding_model="embedder",
            dimensions=DIMENSIONS,
            languages=("en",),
            metadata={},
            documents=len(documents),
            chunks=sum(len(document.chunks) for document in documents.values()),
            created_at=0.0,
            vector_index="flat",
            owner=self.settings[collection].owner if collection in self.settings else None,
        )

    async def delete(self, collection: str, document_ids: Sequence[str]) -> int:
        if self.trouble is not None:
            raise self.trouble
        documents = self.documents_of(collection)
        return sum(documents.pop(name, None) is not None for name in document_ids)

    async def drop(self, collection: str) -> int:
        if self.trouble is not None:
            raise self.trouble
        self.documents_of(collection)
        return len(self.collections.pop(collection))

    async def document(self, collection: str, document_id: str) -> StoredDocument:
        document = self.documents_of(collection)[document_id]
        return StoredDocument(info=self._info(document), chunks=document.chunks)

    async def update_metadata(self, collection: str, document_id: str, metadata: Mapping[str, Any]) -> DocumentInfo:
        if self.trouble is not None:
            raise self.trouble
        documents = self.documents_of(collection)
        documents[document_id] = evolve(documents[document_id], metadata=metadata)
        return self._info(documents[document_id])

    def documents_of(self, collection: str) -> dict[str, Document]:
        if collection not in self.collections:
            raise NotFound(f"there is no collection {collection!r}", code="collection_not_found")
        return self.collections[collection]

    def _info(self, document: Document) -> DocumentInfo:
        return DocumentInfo(
            id=document.id,
            title=document.title,
            metadata=document.metadata,
            content_hash="",
            chunks=len(document.chunks),
            tokens=0,
            created_at=0.0,
            updated_at=0.0,
        )


@define(eq=False)
class MemoryRetrieval:
    """Each paragraph of a text is a chunk, found by the words that it shares with the query."""

    store: MemoryStore = field(factory=MemoryStore)
    ingests: list[IngestRequest] = field(factory=list)
    queries: list[RetrieveRequest] = field(factory=list)
    gate: asyncio.Event | None = None
    """Ingests wait for it."""
    troubles: list[Exception] = field(factory=list)
    """Each is raised once, by an ingest."""
    keepers: list[Keeper] = field(factory=list)

    def add_keeper(self, keeper: Keeper) -> None:
        self.keepers.append(keeper)

    async def ingest(self, request: IngestRequest) -> IngestReport:
        self.ingests.append(request)
        if self.gate is not None:
            await self.gate.wait()
        if self.troubles:
            raise self.troubles.pop(0)
        (source,) = request.documents
        assert source.path is not None
        if source.name.endswith(".bin"):
            raise InvalidRequest(f"no reader knows {source.name}", code="unsupported_file")
        text = await asyncio.to_thread(source.path.read_text)
        if not text.strip():
            raise InvalidRequest("the document has no text", code="empty_content")
        chunks = [
            Chunk(index=place, text=part, tokens=len(part.split())) for place, part in enumerate(text.split("\n\n"))
        ]
        document = Document(id=source.id, title=source.title, metadata={"pages": 1, **source.metadata}, chunks=chunks)
        self.store.collections.setdefault(request.collection, {})[source.id] = document
        told = IngestedDocument(id=source.id, title=source.title, chunks=len(chunks), tokens=len(text.split()))
        return IngestReport(
            collection=request.collection, documents=[told], embedding_model="embedder", dimensions=DIMENSIONS
        )

    async def retrieve(self, request: RetrieveRequest) -> Retrieval:
        self.queries.append(request)
        wanted = None if request.filter is None else parse_filter(request.filter)
        words = set(request.query.lower().split())
        found = [
            self._found(name, document, chunk, words)
            for name in request.collections
            for document in self.store.documents_of(name).values()
            if wanted is None or matches(wanted, document.metadata)
            for chunk in document.chunks
        ]
        best = sorted((one for one in found if one.score > request.min_score), key=lambda one: -one.score)
        return Retrieval(found=best[: request.top_k], totals={})

    def _found(self, collection: str, document: Document, chunk: Chunk, words: set[str]) -> FoundChunk:
        score = len(words & set(chunk.text.lower().replace(".", "").split())) / max(1, len(words))
        hit = Hit(
            document_id=document.id,
            chunk=chunk,
            document_title=document.title,
            metadata={**document.metadata, **chunk.metadata},
            score=score,
            relevance=score,
            legs={},
            ranks={},
        )
        return FoundChunk(collection=collection, hit=hit, score=score)


@define(eq=False)
class MemoryEvents:
    """Listeners, and what was published."""

    listeners: dict[str, Callable[[Mapping[str, Any]], None]] = field(factory=dict)
    published: list[tuple[str, Mapping[str, Any]]] = field(factory=list)

    def listen(self, type: str, listener: Callable[[Mapping[str, Any]], None]) -> None:
        self.listeners[type] = listener

    def publish(self, type: str, data: Mapping[str, Any]) -> None:
        self.published.append((type, data))
        if type in self.listeners:
            self.listeners[type](data)


@define(eq=False)
class RetrievingServices(FakeServices):
    """The kernel's services with retrieval."""

    retrieval: MemoryRetrieval = field(factory=MemoryRetrieval)
    events: MemoryEvents = field(factory=MemoryEvents)

    def __attrs_post_init__(self) -> None:
        sections = {"server": Server(), "routing": Routing(), "models": Models(), "rag": Rag()}
        self.config = FakeConfig({**sections, **self.config.sections})

    async def count_tokens(self, _: GenerationRequest) -> TokenCount:
        """Not among those that were asked: nothing is generated."""
        return TokenCount(prompt_tokens=42, model="real-model", served_by="fake/real-model")

    async def embed(self, request: Any) -> Embeddings:
        vectors = [[1.0] * DIMENSIONS for _ in request.inputs]
        return Embeddings(vectors=vectors, prompt_tokens=1, model="embedder", served_by="fake/embedder")


@define(eq=False)
class Keeping:
    """A server with files and vector stores, and a client of it."""

    server: Served
    services: RetrievingServices
    desk: Any
    client: AsyncOpenAI

    @property
    def retrieval(self) -> MemoryRetrieval:
        return self.services.retrieval


@asynccontextmanager
async def keeping(
    services: RetrievingServices | None = None, security: Security | None = None, **config: Any
) -> AsyncIterator[Keeping]:
    """A server with nothing but this surface; `config` are the plugin's keys. `LMX_HOME` says where it keeps all."""
    fake = services or RetrievingServices()
    (surface,) = lmx_surfaces()
    made: list[Any] = []

    def opened(ctx: Any) -> Any:
        made.append(surface.open(ctx) if surface.open else None)
        return made[0]

    settings = VectorStoresConfig(**{"retry_after_s": 0.0, **config})
    async with serving(
        surfaces=[evolve(surface, open=opened)], services=fake, security=security, config=settings
    ) as server:
        await made[0].start()
        async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
            yield Keeping(server, fake, made[0], client)


async def uploaded(kept: Keeping, *files: tuple[str, bytes]) -> list[str]:
    """The ids of files that were just uploaded."""
    return [(await kept.client.files.create(file=file, purpose="assistants")).id for file in files]


GUIDE = ("guide.txt", b"LMX listens on port 1234.\n\nModels are loaded when they are asked for.")
FRUIT = ("fruit.txt", b"Bananas are yellow.\n\nApples are red or green.")


def unused_for(days: int) -> Any:
    return {"anchor": "last_active_at", "days": days}


async def filled(kept: Keeping, *files: tuple[str, bytes], **fields: Any) -> tuple[str, list[str]]:
    """A vector store, and the files in it."""
    ids = await uploaded(kept, *(files or (GUIDE, FRUIT)))
    store = await kept.client.vector_stores.create(name="docs", file_ids=ids, **fields)
    await until_ready(kept, store.id)
    return store.id, ids


async def until_ready(kept: Keeping, store_id: str) -> None:
    async with asyncio.timeout(20):
        while (await kept.client.vector_stores.retrieve(store_id)).status == "in_progress":
            pass
