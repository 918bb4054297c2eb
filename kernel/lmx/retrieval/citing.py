"""From hits to what a context is assembled of, and from there to its citations."""

from collections.abc import Sequence

from lmx.retrieval.assembly import Assembled, Candidate, Part
from lmx_hookspecs.queries import AssembledContext, Citation, FoundChunk, Retrieval
from lmx_hookspecs.retrieval import chunk_id


def candidates_of(found: Sequence[FoundChunk]) -> Sequence[Candidate]:
    """As far as they matter to a context."""
    return [
        Candidate(
            collection=one.collection,
            document_id=one.hit.document_id,
            document_title=one.hit.document_title,
            index=one.hit.chunk.index,
            text=one.hit.chunk.text,
            start=one.hit.chunk.start,
            end=one.hit.chunk.end,
            score=one.score,
            metadata=one.hit.metadata,
        )
        for one in found
    ]


def context_of(made: Assembled, retrieval: Retrieval, warnings: Sequence[str]) -> AssembledContext:
    """The answer."""
    return AssembledContext(
        text=made.text,
        tokens=made.tokens,
        citations=[_cited(number, part) for number, part in enumerate(made.parts, 1)],
        chunks=sum(len(part.chunks) for part in made.parts),
        skipped=made.skipped,
        duplicates=made.duplicates,
        warnings=[*retrieval.warnings, *warnings],
    )


def _cited(number: int, part: Part) -> Citation:
    best = part.best
    return Citation(
        number=number,
        collection=best.collection,
        document_id=best.document_id,
        document_title=best.document_title,
        chunk_ids=[chunk_id(chunk.document_id, chunk.index) for chunk in part.chunks],
        score=best.score,
        metadata=best.metadata,
        start=part.chunks[0].start,
        end=part.chunks[-1].end,
    )
