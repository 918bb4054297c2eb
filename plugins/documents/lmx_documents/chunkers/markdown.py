"""Cuts Markdown by its headers."""

from collections.abc import Iterator, Sequence

from attrs import evolve, frozen

from lmx_documents.chunkers.headers import Header, headers_of
from lmx_documents.chunkers.packing import Packer, span_of
from lmx_documents.chunkers.ruler import Ruler, measured
from lmx_documents.chunkers.sentences import sentence_starts
from lmx_hookspecs import CutOptions, Span, TokenCounter

TINY = 4
"""Sections of less than this part of a chunk share one with their neighbours."""
Path = tuple[str, ...]


@frozen
class Section:
    """A part of a text, and the headers that it stands under, from the outermost."""

    start: int
    end: int
    path: Path
    bare: bool = False
    """A header and nothing else: it belongs to what follows."""


def cut_markdown(text: str, counter: TokenCounter, options: CutOptions) -> Sequence[Span]:
    """A chunk for each section, several for a large one, one for tiny neighbours under the same header."""
    if not text or text.isspace():
        return []
    ruler = measured(text, counter)
    packer = Packer(ruler, [*sentence_starts(text)], options)
    packed = _packed(ruler, [*sections_of(text)], options.size)
    return [span for section in packed for span in _spans(packer, section)]


def sections_of(text: str) -> Iterator[Section]:
    """The text by its headers; what comes before the first one stands under none."""
    headers = [*headers_of(text)]
    levels: list[Header] = []
    start, end = 0, 0
    path: Path = ()
    for header in headers:
        if text[start : header.start].strip():
            yield Section(start, header.start, path, bare=not text[end : header.start].strip() and bool(path))
            start = header.start
        levels = [*(outer for outer in levels if outer.level < header.level), header]
        end, path = header.end, tuple(outer.title for outer in levels if outer.title)
    yield Section(start, len(text), path)


def _packed(ruler: Ruler, sections: Sequence[Section], size: int) -> Iterator[Section]:
    group = sections[0]
    for section in sections[1:]:
        joined = _joined(ruler, group, section, size)
        if joined is None:
            yield group
        group = joined or section
    yield group


def _joined(ruler: Ruler, group: Section, section: Section, size: int) -> Section | None:
    """Both as one section, if that is well done."""
    whole = evolve(section, start=group.start)
    if group.bare and section.path[: len(group.path)] == group.path:
        return whole
    parent = group.path[:-1] if len(group.path) >= len(section.path) else group.path
    tokens = ruler.tokens(group.start, group.end), ruler.tokens(section.start, section.end)
    if section.bare or not parent or section.path[: len(parent)] != parent or max(tokens) * TINY >= size:
        return None
    return evolve(whole, path=_common(group.path, section.path))


def _common(left: Path, right: Path) -> Path:
    pairs = zip(left, right, strict=False)
    length = next((index for index, (a, b) in enumerate(pairs) if a != b), min(len(left), len(right)))
    return left[:length]


def _spans(packer: Packer, section: Section) -> Iterator[Span]:
    title = " > ".join(section.path)
    metadata = {"headers": [*section.path]} if section.path else {}
    for piece in packer.pieces(section.start, section.end):
        yield span_of(piece, title, metadata)
