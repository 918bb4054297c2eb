"""Cuts source code between its functions, classes and statements.

Whole definitions are put together while they fit; one that does not is taken apart, as in cAST (Zhang et al., 2025).
"""

from collections.abc import Iterator, Sequence

from attrs import frozen

from lmx_documents.chunkers.fixed import cut_lines, line_starts
from lmx_documents.chunkers.packing import Packer, span_of
from lmx_documents.chunkers.ruler import Ruler, measured
from lmx_documents.chunkers.syntax import Names, NoSyntaxError, Part, syntax_of, units_of
from lmx_hookspecs import CutOptions, Span, TokenCounter

MOST_SYMBOLS = 32
LONGEST_TITLE = 200


@frozen
class Group:
    """Neighbouring parts that share a chunk, and the definitions in it."""

    start: int
    end: int
    symbols: Sequence[Names]
    outer: Names
    """Those that its last part stands in."""


def cut_code(text: str, counter: TokenCounter, options: CutOptions) -> Sequence[Span]:
    """Chunks by syntax; by lines where the language is unknown or the text is not written in it."""
    if not text or text.isspace():
        return []
    ruler = measured(text, counter)
    try:
        syntax = syntax_of(text, options.language)
    except NoSyntaxError:
        return cut_lines(ruler, options)
    packer = Packer(ruler, line_starts(text), options)
    units = units_of(syntax, lambda start, end: ruler.tokens(start, end) <= options.size)
    return [span for group in _groups(ruler, units, options.size) for span in _spans(packer, group)]


def _groups(ruler: Ruler, units: Iterator[Part], size: int) -> Iterator[Group]:
    group: Group | None = None
    for unit in units:
        joined = group and _joins(ruler, group, unit, size)
        if group and not joined:
            yield group
        start, symbols = (group.start, group.symbols) if group and joined else (unit.start, ())
        group = Group(start, unit.end, _with(symbols, unit.names), unit.outer)
    if group:
        yield group


def _joins(ruler: Ruler, group: Group, unit: Part, size: int) -> bool:
    """Whether both share a chunk; a definition that is taken apart had better begin one, and end one."""
    if not _is_solid(ruler, group, unit):
        return True
    half_full = 2 * ruler.tokens(group.start, group.end) >= size
    return ruler.tokens(group.start, unit.end) <= size and not (half_full and unit.outer != group.outer)


def _is_solid(ruler: Ruler, group: Group, unit: Part) -> bool:
    """Whether both can stand alone: neither is only white space."""
    parts = ((group.start, group.end), (unit.start, unit.end))
    return all(ruler.solid(start, end) < end for start, end in parts)


def _with(symbols: Sequence[Names], names: Names) -> Sequence[Names]:
    known = not names or names in symbols or len(symbols) >= MOST_SYMBOLS
    return symbols if known else (*symbols, names)


def _spans(packer: Packer, group: Group) -> Iterator[Span]:
    symbols = [".".join(names) for names in group.symbols]
    title = ", ".join(symbols)[:LONGEST_TITLE]
    metadata = {"symbols": symbols, "language": packer.options.language} if symbols else {}
    for piece in packer.pieces(group.start, group.end):
        yield span_of(piece, title, metadata)
