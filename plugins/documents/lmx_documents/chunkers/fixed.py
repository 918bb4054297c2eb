"""Chunks of one size, cut between sentences; and the whole text as one chunk."""

from collections.abc import Sequence
from itertools import accumulate

from lmx_documents.chunkers.packing import Packer, span_of
from lmx_documents.chunkers.ruler import Ruler, measured
from lmx_documents.chunkers.sentences import sentence_starts
from lmx_hookspecs import CutOptions, Span, TokenCounter
from lmx_hookspecs.documents import CHARS_PER_TOKEN


def cut_fixed(text: str, counter: TokenCounter, options: CutOptions) -> Sequence[Span]:
    """As many whole sentences as fit into each chunk, the last ones of each repeated in the next."""
    if not text or text.isspace():
        return []
    ruler = measured(text, counter)
    return spans_of(Packer(ruler, [*sentence_starts(text)], options))


def cut_whole(text: str, counter: TokenCounter, options: CutOptions) -> Sequence[Span]:
    """One chunk; where that would be too large, as `fixed` does."""
    if not text or text.isspace():
        return []
    if len(text) <= options.size * CHARS_PER_TOKEN and (tokens := counter.count(text)) <= options.size:
        return [Span(start=0, end=len(text), fresh=0, tokens=tokens)]
    return cut_fixed(text, counter, options)


def cut_lines(ruler: Ruler, options: CutOptions) -> Sequence[Span]:
    """Like `fixed`, between lines: for texts without sentences."""
    return spans_of(Packer(ruler, line_starts(ruler.text), options))


def line_starts(text: str) -> list[int]:
    """Where lines begin that hold anything, but for the first."""
    lines = text.splitlines(keepends=True)
    starts = accumulate(len(line) for line in lines[:-1])
    return [start for start, line in zip(starts, lines[1:], strict=True) if line.strip()]


def spans_of(packer: Packer) -> list[Span]:
    """The whole text of a packer in pieces."""
    return [span_of(piece) for piece in packer.pieces(0, len(packer.ruler.text))]
