"""A plugin for tests of retrieval: a store in memory, readers that misbehave on demand, and a plain chunker."""

import asyncio
import math
import os
import signal
import time
import uuid
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, evolve, field

from lmx_hookspecs import hookimpl
from lmx_hookspecs.documents import ChunkerSpec, CutOptions, ReaderSpec, ReadText, Span, TokenCounter
from lmx_hookspecs.errors import Conflict, InvalidRequest, NotFound
from lmx_hookspecs.ownership import changed_collection
from lmx_hookspecs.retrieval import (
    Chunk,
    CollectionInfo,
    CollectionSettings,
    Document,
    DocumentInfo,
    Hit,
    Page,
    Search,
    SearchResult,
    StoredDocument,
)
from lmx_hookspecs.stores import RetrieverSpec, StoreSettings


class PanicException(BaseException):
    """What comes of a panic in a library that is written in Rust."""


@define(eq=False)
class Kept:
    """A collection."""

    settings: CollectionSettings
    documents: dict[str, Document] = field(factory=dict)
    id: str = field(factory=lambda: uuid.uuid4().hex)


@define(eq=False)
class MemoryStore:
    """Finds by cosine similarity or by words; dies or fails where the name of a collection says so."""

    settings: StoreSettings
    kept: dict[str, Kept] = field(factory=dict)

    async def create(self, collection: str, settings: CollectionSettings) -> CollectionInfo:
        if collection in self.kept:
            raise Conflict(f"collection {collection!r} is there", code="collection_exists")
        self.kept[collection] = Kept(settings)
        return await self.collection(collection)

    async def ingest(
        self, collection: str, settings: CollectionSettings, documents: Sequence[Document], *, into: str = ""
    ) -> None:
        self._misbehave(collection)
        if into and (collection not in self.kept or self.kept[collection].id != into):
            raise changed_collection(collection)
        kept = self.kept.setdefault(collection, Kept(settings))
        for document in documents:
            if any(len(chunk.embedding) != 4 * kept.settings.dimensions for chunk in document.chunks):
                raise InvalidRequest("other dimensions", code="dimension_mismatch")
        kept.documents |= {document.id: document for document in documents}

    async def search(self, collection: str, search: Search) -> SearchResult:
        self._misbehave(collection)
        kept = self._named(collection)
        hits = [self._hit(document, chunk, search) for document in kept.documents.values() for chunk in document.chunks]
        best = sorted((hit for hit in hits if hit.score >= search.min_score), key=lambda hit: -hit.score)
        return SearchResult(hits=best[: search.top_k], total_in_collection=len(hits))

    async def collections(self) -> Sequence[CollectionInfo]:
        return [await self.collection(name) for name in sorted(self.kept)]

    async def collection(self, collection: str) -> CollectionInfo:
        kept = self._named(collection)
        return CollectionInfo(
            name=collection,
            embedding_model=kept.settings.embedding_model,
            dimensions=kept.settings.dimensions,
            languages=kept.settings.languages,
            metadata=kept.settings.metadata,
            documents=len(kept.documents),
            chunks=sum(len(document.chunks) for document in kept.documents.values()),
            created_at=0.0,
            vector_index=f"durable {self.settings.durable}",
            owner=kept.settings.owner,
            id=kept.id,
        )

    async def drop(self, collection: str) -> int:
        return sum(len(document.chunks) for document in self.kept.pop(collection).documents.values())

    async def documents(
        self, collection: str, *, after: str = "", limit: int = 100, filter: Mapping[str, Any] | None = None
    ) -> Page:
        if filter:
            raise InvalidRequest("no filters here", code="invalid_filter")
        found = [document for name, document in sorted(self._named(collection).documents.items()) if name > after]
        return Page(documents=[_info(document) for document in found[:limit]], total=len(found))

    async def document(self, collection: str, document_id: str) -> StoredDocument:
        document = self._named(collection).documents[document_id]
        return StoredDocument(info=_info(document), chunks=[evolve(one, embedding=b"") for one in document.chunks])

    async def hashes(self, collection: str, document_ids: Sequence[str]) -> Mapping[str, str]:
        documents = self.kept[collection].documents if collection in self.kept else {}
        return {name: documents[name].content_hash for name in document_ids if name in documents}

    async def update_metadata(self, collection: str, document_id: str, metadata: Mapping[str, Any]) -> DocumentInfo:
        documents = self._named(collection).documents
        documents[document_id] = evolve(documents[document_id], metadata=metadata, content_hash="")
        return _info(documents[document_id])

    async def delete(self, collection: str, document_ids: Sequence[str]) -> int:
        documents = self._named(collection).documents
        return sum(documents.pop(name, None) is not None for name in document_ids)

    async def snapshot(self, collection: str, file: Path) -> int:
        raise Conflict(f"{file} is there, so {collection} cannot go there")

    async def restore(self, file: Path, collection: str) -> CollectionInfo:
        raise InvalidRequest(f"{file} is none, so no {collection} comes of it", code="invalid_snapshot")

    async def describe(self) -> Mapping[str, Any]:
        return {"memory_bytes": 123_000_000, "pid": os.getpid(), "mark": os.environ.get("LMX_TEST_MARK", "")}

    async def close(self) -> None:
        self.settings.directory.mkdir(parents=True, exist_ok=True)
        (self.settings.directory / "closed").write_text("yes")

    def _named(self, collection: str) -> Kept:
        if collection not in self.kept:
            raise NotFound(f"there is no collection {collection!r}", code="collection_not_found")
        return self.kept[collection]

    def _misbehave(self, collection: str) -> None:
        marker = self.settings.directory.parent / "died"
        if collection == "deadly" or (collection == "deadly once" and not marker.exists()):
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if collection == "broken":
            raise ZeroDivisionError("told to break")
        if collection == "panicking":
            raise PanicException("told to panic")
        if collection == "stuck":
            time.sleep(60)

    def _hit(self, document: Document, chunk: Chunk, search: Search) -> Hit:
        words = set(search.text.lower().split())
        by_word = len(words & set(chunk.text.lower().split())) / max(1, len(words))
        by_vector = _cosine(search.embedding, chunk.embedding) if search.mode != "keyword" else 0.0
        legs = {"vector": by_vector, "keyword": by_word}
        score = search.fusion.vector_weight * by_vector + search.fusion.keyword_weight * by_word
        return Hit(
            document_id=document.id,
            chunk=chunk if search.with_embeddings else evolve(chunk, embedding=b""),
            document_title=document.title,
            metadata={**document.metadata, **chunk.metadata},
            score=score,
            relevance=max(0.0, by_vector, by_word),
            legs=legs,
            ranks={},
        )


def _info(document: Document) -> DocumentInfo:
    return DocumentInfo(
        id=document.id,
        title=document.title,
        metadata=document.metadata,
        content_hash=document.content_hash,
        chunks=len(document.chunks),
        tokens=sum(chunk.tokens for chunk in document.chunks),
        created_at=0.0,
        updated_at=0.0,
    )


def _cosine(first: bytes, second: bytes) -> float:
    one, other = array("f", first), array("f", second)
    if len(one) != len(other):
        raise InvalidRequest("other dimensions", code="dimension_mismatch")
    lengths = math.hypot(*one) * math.hypot(*other)
    return sum(a * b for a, b in zip(one, other, strict=True)) / lengths if lengths else 0.0


def read_text(path: Path, name: str, max_chars: int) -> ReadText:
    """Plain text; it heeds `max_chars` as readers have to."""
    text = path.read_text()
    if "\0" in text:
        raise InvalidRequest(f"{name} is binary", code="unreadable_file")
    if len(text) > max_chars:
        raise InvalidRequest(f"{name} is too long", code="file_too_large")
    return ReadText(text=text, title=text.split("\n", 1)[0], metadata={"read": "yes"}, chunker="lines")


def read_badly(path: Path, name: str, max_chars: int) -> ReadText:  # noqa: ARG001  as readers are called
    """What its text says: hang, die, take memory, or raise."""
    match path.read_text():
        case "hang":
            time.sleep(60)
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "swell":
            bytearray(1 << 40)
    raise ValueError("this is no such file")


def cut_fixed(text: str, counter: TokenCounter, options: CutOptions) -> Sequence[Span]:
    """So many tokens each, of which some repeat the end of the one before."""
    ends = list(counter.ends(text))
    spans: list[Span] = []
    first = 0
    while first < len(ends):
        last = min(len(ends), first + options.size)
        start = (ends[first - 1] if first else 0) if spans else 0
        end = len(text) if last == len(ends) else ends[last - 1]
        spans.append(Span(start=start, end=end, fresh=spans[-1].end if spans else 0))
        if last == len(ends):
            break
        first = last - options.overlap
    return spans


def cut_lines(text: str, counter: TokenCounter, options: CutOptions) -> Sequence[Span]:  # noqa: ARG001  as it is called
    """A line each."""
    spans: list[Span] = []
    start = 0
    for line in text.splitlines(keepends=True):
        spans.append(Span(start=start, end=start + len(line), fresh=start))
        start += len(line)
    return spans


@hookimpl
def lmx_retrievers() -> Sequence[RetrieverSpec]:
    """One in a process, one without."""
    return [
        RetrieverSpec(
            name="memory", open=lambda _, settings: MemoryStore(settings), environment=lambda: {"LMX_TEST_MARK": "here"}
        ),
        RetrieverSpec(name="inline", open=lambda _, settings: MemoryStore(settings), isolation="inline"),
        RetrieverSpec(name="unable", open=_unable),
    ]


@hookimpl
def lmx_readers() -> Sequence[ReaderSpec]:
    """A good and a bad one."""
    return [
        ReaderSpec(name="text", suffixes=frozenset({".txt"}), media_types=frozenset({"text/plain"}), read=read_text),
        ReaderSpec(
            name="plain",
            suffixes=frozenset({".plain"}),
            read=read_text,
            of_text=lambda text, _: ReadText(text=text, chunker="lines"),
        ),
        ReaderSpec(name="bad", suffixes=frozenset({".bad"}), read=read_badly),
    ]


@hookimpl
def lmx_chunkers() -> Sequence[ChunkerSpec]:
    """By tokens and by lines."""
    return [ChunkerSpec(name="fixed", cut=cut_fixed), ChunkerSpec(name="lines", cut=cut_lines)]


def _unable(_: Any, settings: StoreSettings) -> MemoryStore:
    asyncio.get_running_loop()
    raise InvalidRequest(f"{settings.directory} cannot be opened")
