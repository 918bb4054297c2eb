"""What may be stored: checked, and made ready for the database, before anything is written."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import frozen

from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.retrieval import Chunk, CollectionSettings, Document

FLOAT_BYTES = 4
MAX_NAME_LENGTH = 64
MAX_ID_LENGTH = 1024
ESCAPED_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""SQLite's JSON functions end a text there."""


@frozen(kw_only=True)
class DocumentRow:
    """A document whose parts the database takes as they are."""

    name: str
    title: str
    metadata: str
    content_hash: str
    chunks: Sequence[tuple[int, int, int, int, str | None]]
    """Place, start, end, tokens, metadata."""
    texts: Sequence[tuple[str, str]]
    embeddings: Sequence[bytes]
    tokens: int


def checked_settings(collection: str, settings: CollectionSettings) -> CollectionSettings:
    """Those of a collection that may be made."""
    if not 1 <= len(collection) <= MAX_NAME_LENGTH or not collection.isprintable():
        raise InvalidRequest(
            f"the name of a collection is 1 to {MAX_NAME_LENGTH} printable characters", param="collection"
        )
    if settings.dimensions < 1:
        raise InvalidRequest("a collection has at least one dimension", param="dimensions")
    return settings


def document_row(document: Document, dimensions: int) -> DocumentRow:
    """Raises InvalidRequest for what cannot be stored."""
    check_vectors([chunk.embedding for chunk in document.chunks], dimensions)
    return DocumentRow(
        name=_checked_id(document.id),
        title=checked_text(document.title),
        metadata=metadata_json(document.metadata),
        content_hash=document.content_hash,
        chunks=[_chunk_row(chunk) for chunk in document.chunks],
        texts=[(checked_text(chunk.title), checked_text(chunk.text)) for chunk in document.chunks],
        embeddings=[chunk.embedding for chunk in document.chunks],
        tokens=sum(chunk.tokens for chunk in document.chunks),
    )


def check_vectors(embeddings: Sequence[bytes], dimensions: int) -> None:
    """Raises InvalidRequest (`invalid_vector`, `dimension_mismatch`)."""
    for embedding in embeddings:
        if len(embedding) % FLOAT_BYTES:
            raise InvalidRequest(
                f"a vector of {len(embedding)} bytes is no sequence of 32-bit floats",
                code="invalid_vector",
                param="embedding",
            )
        if len(embedding) != dimensions * FLOAT_BYTES:
            raise InvalidRequest(
                f"a vector has {len(embedding) // FLOAT_BYTES} dimensions and the collection {dimensions}; "
                f"embed with the collection's model",
                code="dimension_mismatch",
                param="embedding",
            )
    if not np.isfinite(np.frombuffer(b"".join(embeddings), dtype="<f4")).all():
        raise InvalidRequest("a vector holds NaN or infinity", code="invalid_vector", param="embedding")


def checked_text(text: str) -> str:
    """Raises InvalidRequest for what is no Unicode text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest("a text holds lone surrogates; send valid Unicode", param="documents") from None
    return text


def metadata_json(metadata: Mapping[str, Any]) -> str:
    """As it is stored; raises InvalidRequest (`invalid_metadata`)."""
    try:
        text = json.dumps(dict(metadata), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(
            f"metadata are not plain JSON: {error}", code="invalid_metadata", param="metadata"
        ) from None
    if ESCAPED_NUL.search(text):
        raise InvalidRequest("metadata hold NUL characters", code="invalid_metadata", param="metadata")
    return text


def _checked_id(id: str) -> str:
    """Without NUL, behind which SQLite's JSON functions see nothing: such a document could not be deleted."""
    if not 1 <= len(id) <= MAX_ID_LENGTH or "\0" in id:
        raise InvalidRequest(
            f"the id of a document is 1 to {MAX_ID_LENGTH} characters, none of them NUL", param="document_ids"
        )
    return checked_text(id)


def _chunk_row(chunk: Chunk) -> tuple[int, int, int, int, str | None]:
    metadata = metadata_json(chunk.metadata) if chunk.metadata else None
    return chunk.index, chunk.start, chunk.end, chunk.tokens, metadata
