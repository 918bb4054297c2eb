"""How a request wants its documents cut, by what it says and what the section `rag` says."""

from collections.abc import Sequence
from pathlib import Path

from lmx.config.rag import Rag
from lmx.workers.documents import AUTO, FIXED, WHOLE, Cutting
from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.ingestion import Chunking

SIZES = range(64, 4097)
"""Tokens. What `/v1/rag` and the section `rag` allow ends at 2048; chunks of vector stores may have 4096."""
SYNONYMS = {"text": FIXED}


def cutting_of(chunking: Chunking, rag: Rag, tokenizer: Path, chunkers: Sequence[str]) -> Cutting:
    """Raises InvalidRequest for what cannot be."""
    written = chunking.strategy or rag.chunking_strategy
    strategy = SYNONYMS.get(written, written)
    if strategy not in {AUTO, WHOLE, *chunkers}:
        known = ", ".join([AUTO, *sorted({WHOLE, *chunkers})])
        raise InvalidRequest(f"there is no chunking strategy {written!r}; there are: {known}", param="chunking")
    size = rag.default_chunk_size if chunking.size is None else chunking.size
    if size not in SIZES:
        raise InvalidRequest(f"chunk_size is {size}; it has to be from 64 to 4096 tokens", param="chunk_size")
    return Cutting(
        strategy=strategy,
        size=size,
        overlap=_overlap(chunking, rag, size),
        tokenizer=tokenizer,
        max_file_bytes=rag.max_file_bytes,
        max_chars=rag.max_document_chars,
    )


def _overlap(chunking: Chunking, rag: Rag, size: int) -> int:
    """What the section says is made to fit a smaller size that the request says; what the request says is not."""
    if chunking.overlap is None:
        return min(rag.default_chunk_overlap, size // 2) if chunking.size is not None else rag.default_chunk_overlap
    if not 0 <= chunking.overlap < size:
        told = f"chunk_overlap is {chunking.overlap}; it has to be from 0 to less than chunk_size, which is {size}"
        raise InvalidRequest(told, param="chunk_overlap")
    return chunking.overlap
