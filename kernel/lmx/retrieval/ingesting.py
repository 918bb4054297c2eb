"""Read, cut, embed and store: all documents of a request or none."""

import asyncio
import hashlib
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path

from attrs import evolve, frozen

from lmx.config.rag import Rag
from lmx.names import AUTO
from lmx.retrieval.chunking import cutting_of
from lmx.retrieval.embedding import Embed, Embedded, Embedder, same_model
from lmx.retrieval.tokenizers import Tokenizers
from lmx.workers import part_values
from lmx.workers.documents import Cutting, Prepared
from lmx_hookspecs.errors import Conflict, InvalidRequest, NotFound, TooLarge
from lmx_hookspecs.ingestion import IngestedDocument, IngestReport, IngestRequest, SourceDocument
from lmx_hookspecs.ownership import is_visible, unknown_collection
from lmx_hookspecs.retrieval import CollectionInfo, CollectionSettings, Document, Retriever

MOST_CHARS = 100_000_000
"""Of all documents of one request, unless `rag.max_document_chars` allows one of them more: all wait in memory."""
FLOAT_BYTES = 4
Prepare = Callable[[SourceDocument, Cutting], Awaitable[Prepared]]


@frozen(kw_only=True)
class Read:
    """A document on its way."""

    source: SourceDocument
    digest: str
    prepared: Prepared | None
    """None for one that has not changed."""


@frozen(kw_only=True)
class Ingesting:
    """Takes documents in, by the section `rag` as it is now."""

    rag: Rag
    store: Retriever
    prepare: Prepare
    embed: Embed
    tokenizers: Tokenizers
    chunkers: Sequence[str]

    async def run(self, request: IngestRequest) -> IngestReport:
        """What became of the request."""
        sources = _identified(request, self.rag.max_documents_per_ingest)
        known = await self._known(request)
        model = request.model or (known.embedding_model if known else self.rag.embedding_model or AUTO)
        tokenizer = await self.tokenizers.of(model)
        cutting = cutting_of(request.chunking, self.rag, tokenizer.path, self.chunkers)
        read = await self._read(request, sources, cutting, known)
        dimensions = known.dimensions if known else self.rag.embedding_dimensions
        embedder = Embedder(embed=self.embed, model=model, dimensions=dimensions, request=request)
        embedded = await self._embedded(embedder, read, known) if not request.cut_only else None
        if embedded and embedded.vectors:
            documents = await asyncio.to_thread(_documents, read, cutting, embedded)
            settings, into = self._settings(embedded, request.owner), known.id if known else ""
            await self.store.ingest(request.collection, settings, documents, into=into)
        return IngestReport(
            collection=request.collection,
            documents=[_reported(one) for one in read],
            embedding_model=embedded.model if embedded else model,
            dimensions=embedded.dimensions if embedded else dimensions or 0,
            warnings=[tokenizer.warning] if tokenizer.warning else [],
        )

    async def _known(self, request: IngestRequest) -> CollectionInfo | None:
        try:
            known = await self.store.collection(request.collection)
        except NotFound:
            return None
        if not is_visible(known, request.key):
            raise unknown_collection(request.collection)
        return known

    async def _read(
        self, request: IngestRequest, sources: Sequence[SourceDocument], cutting: Cutting, known: CollectionInfo | None
    ) -> Sequence[Read]:
        stored: Mapping[str, str] = {}
        if request.skip_unchanged and known:
            stored = await self.store.hashes(request.collection, [source.id for source in sources])
        read, chars, most = [], 0, max(MOST_CHARS, self.rag.max_document_chars)
        for place, source in enumerate(sources):
            digest = await asyncio.to_thread(_digest, source, self.rag.max_file_bytes)
            same = known is not None and stored.get(source.id) == content_hash(
                source, digest, cutting, known.embedding_model
            )
            prepared = None if same else await self.prepare(_named(request.documents[place], source, place), cutting)
            chars += sum(len(chunk.text) for chunk in prepared.chunks) if prepared else 0
            if chars > most:
                raise _too_much(most)
            read.append(Read(source=source, digest=digest, prepared=prepared))
        return read

    async def _embedded(self, embedder: Embedder, read: Sequence[Read], known: CollectionInfo | None) -> Embedded:
        """The vectors of all chunks; of none where nothing has changed."""
        chunks = (chunk for one in read if one.prepared for chunk in one.prepared.chunks)
        vectors: list[bytes] = []
        whole = None
        await asyncio.to_thread(_check_size, read, embedder.dimensions or 0)
        while texts := [chunk.text for chunk in islice(chunks, self.rag.embedding_batch_size)]:
            made = await embedder.vectors_of(texts)
            if whole is None:
                _refuse_other_model(made.model, known)
                await asyncio.to_thread(_check_size, read, made.dimensions)
            else:
                same_model(whole.model, made.model)
            vectors += made.vectors
            whole = made
        if whole is None:
            model, dimensions = (known.embedding_model, known.dimensions) if known else ("", 0)
            return Embedded(vectors=[], model=model, dimensions=dimensions, tokens=0)
        return evolve(whole, vectors=vectors)

    def _settings(self, embedded: Embedded, owner: str | None) -> CollectionSettings:
        return CollectionSettings(
            embedding_model=embedded.model,
            dimensions=embedded.dimensions,
            languages=list(self.rag.languages),
            owner=owner,
        )


def content_hash(source: SourceDocument, digest: str, cutting: Cutting, model: str) -> str:
    """Of what a document is made from, and of how it is made."""
    made_from = [digest, source.title, source.metadata, source.name]
    made_how = [cutting.strategy, cutting.size, cutting.overlap, model]
    return hashlib.sha256(json.dumps([made_from, made_how], sort_keys=True, default=str).encode()).hexdigest()


def _digest(source: SourceDocument, max_file_bytes: int) -> str:
    """Of the content; of a file that is too large nothing, since reading it refuses it."""
    if source.path is None:
        return hashlib.sha256((source.text or "").encode("utf-8", "surrogatepass")).hexdigest()
    try:
        if source.path.stat().st_size > max_file_bytes:
            return ""
        with Path(source.path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        name = source.name or source.path.name
        raise InvalidRequest(f"{name} cannot be read: {error.strerror}", code="unreadable_file") from error


def _identified(request: IngestRequest, most: int) -> Sequence[SourceDocument]:
    """Every document with an id; raises InvalidRequest."""
    if not request.collection:
        raise InvalidRequest("collection is empty; name one", param="collection")
    if not request.documents:
        raise InvalidRequest("there are no documents; send at least one", param="documents")
    if len(request.documents) > most:
        told = f"{len(request.documents)} documents, and rag.max_documents_per_ingest allows {most} in one request"
        raise InvalidRequest(f"{told}; send them in several", param="documents")
    sources = [one if one.id else evolve(one, id=uuid.uuid4().hex) for one in request.documents]
    known: set[str] = set()
    for one in sources:
        if one.id in known:
            raise InvalidRequest(f"the document id {one.id!r} stands there twice", param="document_ids")
        known.add(one.id)
    return sources


def _named(given: SourceDocument, source: SourceDocument, place: int) -> SourceDocument:
    """For messages: a text whose id we made is called after its place in the request."""
    unknown = source.path is None and not (given.id or given.name)
    return evolve(source, name=f"documents[{place}]") if unknown else source


def _check_size(read: Sequence[Read], dimensions: int) -> None:
    """Raises TooLarge for what no call of the store could hold, before all of it is embedded in vain."""
    chunks = [chunk for one in read if one.prepared for chunk in one.prepared.chunks]
    size_bytes = sum(len(chunk.text.encode("utf-8", "surrogatepass")) + FLOAT_BYTES * dimensions for chunk in chunks)
    if size_bytes > part_values.MOST_BYTES:
        raise TooLarge(
            f"the texts and vectors of this request have {size_bytes} bytes, and the store takes "
            f"{part_values.MOST_BYTES} at once; send less at a time",
            param="documents",
        )


def _too_much(most: int) -> InvalidRequest:
    return InvalidRequest(
        f"the documents of this request have more than {most} characters together; send them in several",
        code="file_too_large",
        param="documents",
    )


def _refuse_other_model(model: str, known: CollectionInfo | None) -> None:
    if known and known.chunks and model != known.embedding_model:
        raise Conflict(
            f"collection {known.name!r} holds vectors of {known.embedding_model!r}, and {model!r} would embed these "
            "documents; name that model, or take another collection",
            code="embedding_model_mismatch",
            param="model",
        )


def _documents(read: Sequence[Read], cutting: Cutting, embedded: Embedded) -> Sequence[Document]:
    vectors = iter(embedded.vectors)
    return [
        Document(
            id=one.source.id,
            title=one.prepared.title,
            metadata={**one.prepared.metadata, **one.source.metadata},
            content_hash=content_hash(one.source, one.digest, cutting, embedded.model),
            chunks=[evolve(chunk, embedding=next(vectors)) for chunk in one.prepared.chunks],
        )
        for one in read
        if one.prepared
    ]


def _reported(one: Read) -> IngestedDocument:
    if one.prepared is None:
        return IngestedDocument(id=one.source.id, title=one.source.title, chunks=0, tokens=0, unchanged=True)
    chunks = one.prepared.chunks
    return IngestedDocument(
        id=one.source.id, title=one.prepared.title, chunks=len(chunks), tokens=sum(chunk.tokens for chunk in chunks)
    )
