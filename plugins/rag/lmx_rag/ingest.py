"""POST /v1/rag/ingest and POST /v1/rag/documents: texts and files into a collection."""

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

from attrs import asdict

from lmx_hookspecs import Context, Request, Response
from lmx_hookspecs.envelope import envelope_fields
from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.ingestion import Chunking, IngestReport, IngestRequest, SourceDocument
from lmx_rag.answers import IngestAnswer, IngestedAnswer
from lmx_rag.requests import IngestBody, UploadBody
from lmx_rag.wire import checked_name, reply, retrieval, since_ms

MAX_ID = 1024
"""Characters of a document's id."""


async def ingest_texts(ctx: Context, request: Request) -> Response:
    """Store texts."""
    body: IngestBody = request.body
    count = len(body.documents)
    _check_count(ctx, count, "documents")
    ids, titles = _ids(body, count), _titles(body.titles, count)
    metadata = _padded(body.metadata or (), count)
    if body.document_ids is None:
        metadata = [{"doc_index": index, **facts} for index, facts in enumerate(metadata)]
    sources = [
        SourceDocument(id=one, text=text, title=title, metadata=facts)
        for one, text, title, facts in zip(ids, body.documents, titles, metadata, strict=True)
    ]
    return await _ingest(ctx, request, body, sources)


async def ingest_files(ctx: Context, request: Request) -> Response:
    """Read files, and store what they hold."""
    body: UploadBody = request.body
    count = len(request.files)
    if not count:
        raise InvalidRequest("files is missing: send multipart/form-data with one or more files", param="files")
    _check_count(ctx, count, "files")
    given = body.metadata
    metadata = [given] * count if isinstance(given, Mapping) else _padded(given or (), count)
    sources = [
        SourceDocument(id=one, path=file.path, name=file.name, media_type=file.media_type, title=title, metadata=facts)
        for one, file, title, facts in zip(
            _ids(body, count), request.files, _titles(body.titles, count), metadata, strict=True
        )
    ]
    return await _ingest(ctx, request, body, sources)


async def _ingest(
    ctx: Context, request: Request, body: IngestBody | UploadBody, sources: Sequence[SourceDocument]
) -> Response:
    began = perf_counter()
    wanted = IngestRequest(
        collection=checked_name(body.collection),
        documents=sources,
        chunking=_chunking(ctx, body),
        model=body.model,
        skip_unchanged=body.skip_unchanged,
        **envelope_fields(request),
    )
    report = await retrieval(ctx).ingest(wanted)
    return reply(_answer(report, since_ms(began)))


def _chunking(ctx: Context, body: IngestBody | UploadBody) -> Chunking:
    """Refuses early, and before any model is loaded, what would repeat all of the chunk before."""
    size = body.chunk_size or ctx.services.config.section("rag").default_chunk_size
    if body.chunk_overlap is not None and body.chunk_overlap >= size:
        raise InvalidRequest(
            f"chunk_overlap must be less than chunk_size, which is {size}; send a smaller one", param="chunk_overlap"
        )
    return Chunking(strategy=body.chunking, size=body.chunk_size, overlap=body.chunk_overlap)


def _check_count(ctx: Context, count: int, param: str) -> None:
    limit = ctx.services.config.section("rag").max_documents_per_ingest
    if count > limit:
        raise InvalidRequest(
            f"{param} holds {count} documents, and one request may hold {limit}; send several requests, or raise "
            "rag.max_documents_per_ingest",
            param=param,
        )


def _ids(body: IngestBody | UploadBody, count: int) -> Sequence[str]:
    """One for each document, empty where it gets a new one."""
    ids = body.document_ids
    if ids is None:
        if body.skip_unchanged:
            raise InvalidRequest(
                "skip_unchanged needs document_ids, by which documents are found again", param="skip_unchanged"
            )
        return [""] * count
    if len(ids) != count:
        raise InvalidRequest(
            f"document_ids holds {len(ids)} ids for {count} documents; send as many", param="document_ids"
        )
    if len(set(ids)) != count:
        raise InvalidRequest("document_ids holds an id twice; each document needs its own", param="document_ids")
    for place, one in enumerate(ids):
        if not (0 < len(one) <= MAX_ID and one.isprintable()):
            raise InvalidRequest(
                f"document_ids[{place}] must be 1 to {MAX_ID} printable characters", param=f"document_ids[{place}]"
            )
    return ids


def _titles(titles: Sequence[str] | None, count: int) -> Sequence[str]:
    if titles is not None and len(titles) > count:
        raise InvalidRequest(f"titles holds {len(titles)} titles for {count} documents", param="titles")
    given = titles or ()
    return [*given, *[""] * (count - len(given))]


def _padded(metadata: Sequence[Mapping[str, Any]], count: int) -> Sequence[Mapping[str, Any]]:
    if len(metadata) > count:
        raise InvalidRequest(f"metadata holds {len(metadata)} entries for {count} documents", param="metadata")
    return [*metadata, *[{}] * (count - len(metadata))]


def _answer(report: IngestReport, duration_ms: float) -> IngestAnswer:
    new = [document for document in report.documents if not document.unchanged]
    return IngestAnswer(
        collection=report.collection,
        documents_ingested=len(new),
        documents_unchanged=len(report.documents) - len(new),
        chunks_created=sum(document.chunks for document in new),
        document_ids=[document.id for document in report.documents],
        documents=[IngestedAnswer(**asdict(document)) for document in report.documents],
        embedding_model=report.embedding_model,
        embedding_dimensions=report.dimensions,
        duration_ms=duration_ms,
        warnings=report.warnings,
    )
