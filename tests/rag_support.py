"""Plugin `rag` over a retrieval service that remembers what it was asked, on a real socket."""

import asyncio
from array import array
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from attrs import define, evolve, field

from fake_parts import FakeConfig
from http_support import FakeServices, Served, serving
from lmx.config.rag import Rag
from lmx.config.schema import Models, Routing
from lmx.config.server import Server
from lmx_hookspecs import EmbeddingRequest, Embeddings, LmxError
from lmx_hookspecs.errors import Conflict, InvalidRequest, NotFound
from lmx_hookspecs.ingestion import IngestedDocument, IngestReport, IngestRequest
from lmx_hookspecs.queries import AssembledContext, Citation, ContextRequest, FoundChunk, Retrieval, RetrieveRequest
from lmx_hookspecs.retrieval import Chunk, CollectionInfo, CollectionSettings, DocumentInfo, Hit, Page, StoredDocument
from lmx_rag import lmx_surfaces

URL = "/v1/rag"
COLLECTIONS = f"{URL}/collections"


@define(eq=False)
class FakeStore:
    """Documents in memory, by collection and id."""

    kept: dict[str, dict[str, DocumentInfo]] = field(factory=dict)
    settings: dict[str, CollectionSettings] = field(factory=dict)
    contents: dict[str, bytes] = field(factory=dict)
    """Of files that were ingested, as they were read, by document id."""
    broken: LmxError | None = None
    filters: list[Mapping[str, Any] | None] = field(factory=list)

    def of(self, collection: str) -> dict[str, DocumentInfo]:
        if self.broken is not None:
            raise self.broken
        if collection not in self.kept:
            raise NotFound(f"there is no collection {collection!r}", code="collection_not_found", param="collection")
        return self.kept[collection]

    async def create(self, collection: str, settings: CollectionSettings) -> CollectionInfo:
        if collection in self.kept:
            raise Conflict(f"there is a collection {collection!r} already", code="collection_exists", param="name")
        self.kept[collection], self.settings[collection] = {}, settings
        return await self.collection(collection)

    async def collections(self) -> Sequence[CollectionInfo]:
        return [await self.collection(name) for name in sorted(self.kept)]

    async def collection(self, collection: str) -> CollectionInfo:
        documents = self.of(collection)
        settings = self.settings.get(collection, CollectionSettings(embedding_model="m", dimensions=2))
        return CollectionInfo(
            name=collection,
            embedding_model=settings.embedding_model,
            dimensions=settings.dimensions,
            languages=settings.languages,
            metadata=settings.metadata,
            documents=len(documents),
            chunks=2 * len(documents),
            created_at=1.0,
            vector_index="flat",
            owner=settings.owner,
        )

    async def drop(self, collection: str) -> int:
        return 2 * len(self.kept.pop(collection))

    async def documents(
        self, collection: str, *, after: str = "", limit: int = 100, filter: Mapping[str, Any] | None = None
    ) -> Page:
        self.filters.append(filter)
        documents = self.of(collection)
        rest = sorted(one for one in documents if one > after)
        return Page(documents=[documents[one] for one in rest[:limit]], total=len(documents))

    async def document(self, collection: str, document_id: str) -> StoredDocument:
        chunk = Chunk(index=1, text="text", start=3, end=7, tokens=1, title="Head", metadata={"page": 2})
        return StoredDocument(info=self._one(collection, document_id), chunks=[chunk])

    async def update_metadata(self, collection: str, document_id: str, metadata: Mapping[str, Any]) -> DocumentInfo:
        changed = evolve(self._one(collection, document_id), metadata=metadata)
        self.kept[collection][document_id] = changed
        return changed

    async def delete(self, collection: str, document_ids: Sequence[str]) -> int:
        documents = self.of(collection)
        return sum(documents.pop(one, None) is not None for one in document_ids)

    async def snapshot(self, collection: str, file: Path) -> int:
        await asyncio.to_thread(file.write_bytes, collection.encode() * 1000)
        return 2 * len(self.of(collection))

    async def restore(self, file: Path, collection: str) -> CollectionInfo:
        self.contents[collection] = await asyncio.to_thread(file.read_bytes)
        return await self.create(collection, CollectionSettings(embedding_model="m", dimensions=2))

    def _one(self, collection: str, document_id: str) -> DocumentInfo:
        documents = self.of(collection)
        if document_id not in documents:
            raise NotFound(f"there is no document {document_id!r}", code="document_not_found", param="id")
        return documents[document_id]


@define(eq=False)
class FakeRetrieval:
    """Stores and finds what the surface asks for, and remembers it."""

    store: FakeStore = field(factory=FakeStore)
    asked: list[Any] = field(factory=list)
    refused: dict[str, LmxError] = field(factory=dict)
    """By document id; empty for every one."""
    warnings: Sequence[str] = ()

    async def ingest(self, request: IngestRequest) -> IngestReport:
        self.asked.append(request)
        documents = [self._ingested(request, place) for place in range(len(request.documents))]
        return IngestReport(
            collection=request.collection,
            documents=documents,
            embedding_model="m",
            dimensions=2,
            warnings=self.warnings,
        )

    def _ingested(self, request: IngestRequest, place: int) -> IngestedDocument:
        source = request.documents[place]
        refused = self.refused.get(source.id) or self.refused.get("")
        if refused is not None:
            raise refused
        one = source.id or f"new-{place}"
        try:
            content = source.path.read_bytes() if source.path else (source.text or "").encode()
        except OSError as error:
            raise InvalidRequest(f"{source.name} cannot be read: {error.strerror}", code="unreadable_file") from error
        kept = self.store.kept.setdefault(request.collection, {})
        unchanged = one in kept and self.store.contents.get(one) == content
        self.store.contents[one] = content
        kept[one] = DocumentInfo(
            id=one,
            title=source.title,
            metadata=source.metadata,
            content_hash="hash",
            chunks=2,
            tokens=5,
            created_at=1.0,
            updated_at=2.0,
        )
        return IngestedDocument(id=one, title=source.title, chunks=2, tokens=5, unchanged=unchanged)

    async def retrieve(self, request: RetrieveRequest) -> Retrieval:
        self.asked.append(request)
        chunk = Chunk(
            index=3,
            text="a text",
            start=10,
            end=16,
            tokens=2,
            title="Part > Chapter",
            embedding=array("f", [0.5, -1.0]).tobytes() if request.with_embeddings else b"",
        )
        hit = Hit(
            document_id="d",
            chunk=chunk,
            document_title="A title",
            metadata={"source": "x", "end_char": "mine"},
            score=0.0163934426,
            relevance=0.75,
            legs={"vector": 0.75},
            ranks={"vector": 1},
        )
        found = [FoundChunk(collection=name, hit=hit, score=hit.score) for name in request.collections]
        return Retrieval(found=found, totals=dict.fromkeys(request.collections, 7), warnings=self.warnings)

    async def assemble(self, request: ContextRequest) -> AssembledContext:
        self.asked.append(request)
        facts: dict[str, Any] = {"collection": "c", "document_title": "T", "score": 0.5, "metadata": {"a": 1}}
        citations = [
            Citation(number=1, document_id="d", chunk_ids=["d#0", "d#1"], start=0, end=20, **facts),
            Citation(number=2, document_id="e", chunk_ids=["e#0"], start=0, end=9, **facts),
        ]
        return AssembledContext(
            text="[1] …\n[2] …", tokens=12, citations=citations, chunks=3, skipped=1, duplicates=2, warnings=()
        )


@define(eq=False)
class RagServices(FakeServices):
    """The kernel, as far as plugin `rag` knows it."""

    retrieval: FakeRetrieval = field(factory=FakeRetrieval)
    embedded: list[EmbeddingRequest] = field(factory=list)

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        self.embedded.append(request)
        return Embeddings(vectors=[[0.0] * (request.dimensions or 4)], prompt_tokens=1, model="model-of-auto")


def rag_services(**rag: Any) -> RagServices:
    """With this section `rag`."""
    services = RagServices()
    services.config = FakeConfig({"server": Server(), "routing": Routing(), "models": Models(), "rag": Rag(**rag)})
    return services


@asynccontextmanager
async def ragging(services: RagServices | None = None, **options: Any) -> AsyncIterator[tuple[Served, FakeRetrieval]]:
    """A server with nothing but this surface, and what it talks to."""
    used = services or rag_services()
    async with serving(surfaces=lmx_surfaces(), services=used, **options) as server:
        yield server, used.retrieval
