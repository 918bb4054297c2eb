"""Cuts a part of a text into pieces that are as long as may be, at the best places that there are.

These are the starts of sentences, or whatever the caller takes for units; where one is too long for a piece, of lines,
then of words, then token by token. No piece begins with white space but the first: it stays with what comes before.
"""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from lmx_documents.chunkers.ruler import Ruler, between, first_after, last_until
from lmx_hookspecs import CutOptions, Span
from lmx_hookspecs.documents import CHARS_PER_TOKEN

PAUSES = frozenset("，、；：،؛")  # noqa: RUF001  they are what they look like
JOINERS = frozenset("\u200d\ufe0e\ufe0f")
LONGEST_CLUSTER = 32


@frozen
class Piece:
    """A part of a text, the first of which, up to `fresh`, is repeated."""

    start: int
    end: int
    fresh: int
    tokens: int


@frozen(eq=False)
class Packer:
    """Cuts parts of one text; `units` are the places, ascending, at which cutting does least harm."""

    ruler: Ruler
    units: Sequence[int]
    options: CutOptions

    def pieces(self, start: int, end: int) -> Iterator[Piece]:
        """Pieces in order, whose fresh parts make up the part."""
        begin = fresh = start
        while fresh < end:
            piece = self._piece(self._with_room(begin, fresh, end), fresh, end)
            yield piece
            begin, fresh = self._overlap(piece), piece.end

    def _piece(self, begin: int, fresh: int, end: int) -> Piece:
        piece = self._fitting(begin, fresh, end)
        if piece is None and begin < fresh:
            piece = self._fitting(fresh, fresh, end)
        return piece or Piece(fresh, fresh + 1, fresh, self.ruler.count(fresh, fresh + 1))

    def _fitting(self, begin: int, fresh: int, end: int) -> Piece | None:
        """The best piece that fits, by its exact count; None where not even one character would."""
        limit = min(end, self._limit(begin, self.options.size))
        for attempt in range(end - fresh):
            stop = end if limit >= end else self._break(fresh, limit, end) if limit > fresh else None
            if stop is None and begin == fresh < limit:
                stop = limit  # white space that takes a piece or more
            if stop is None:
                return None
            tokens = self.ruler.count(begin, stop)
            if tokens <= self.options.size:
                return Piece(begin, stop, fresh, tokens)
            limit = self._less(begin, fresh, stop, tokens - self.options.size << attempt)
        return None

    def _limit(self, begin: int, tokens: int) -> int:
        """How far a piece may go. White space that follows the last token is free where it has none of its own."""
        return min(self.ruler.reach(begin, tokens), begin + self.options.size * CHARS_PER_TOKEN)

    def _less(self, begin: int, fresh: int, stop: int, excess: int) -> int:
        limit = min(stop - 1, self._limit(begin, max(0, self.ruler.tokens(begin, stop) - excess)))
        return limit if limit > fresh else begin + (stop - begin) // 2

    def _break(self, fresh: int, limit: int, end: int) -> int | None:
        """The best place to cut behind the first word and up to the limit; None where only white space would follow."""
        first = self.ruler.solid(fresh, limit)
        unit = last_until(self.units, limit)
        if unit > first and (self._fits(unit, end) or 2 * (unit - fresh) >= limit - fresh):
            return unit
        middle = max(first, (fresh + limit) // 2)
        place = self._line(middle, limit) or self._word(middle, limit) or self._blank(middle, limit)
        return place or self._character(first, limit)

    def _fits(self, unit: int, end: int) -> bool:
        """Whether what begins there fits into a piece of its own; if not, it is cut anyway."""
        return self.ruler.tokens(unit, min(end, first_after(self.units, unit, end))) <= self.options.size

    def _line(self, first: int, limit: int) -> int | None:
        newline = self.ruler.text.rfind("\n", first, limit)
        place = self.ruler.solid(newline, limit) if newline >= 0 else limit
        return place if place < limit else None

    def _word(self, first: int, limit: int) -> int | None:
        text = self.ruler.text
        for place in range(limit, first, -1):
            if (text[place - 1].isspace() or text[place - 1] in PAUSES) and not text[place].isspace():
                return place
        return None

    def _blank(self, first: int, limit: int) -> int | None:
        """The limit, where it lies in or before white space that would fill half a piece by its characters."""
        begin = first + len(self.ruler.text[first:limit].rstrip())
        most = self.options.size * CHARS_PER_TOKEN
        return limit if 2 * (self.ruler.solid(limit, limit + most) - begin) > most else None

    def _character(self, first: int, limit: int) -> int | None:
        """Where a token ends if it can be, in no case within what is written as one character."""
        text = self.ruler.text
        last = self.ruler.token_end(limit)
        places = range(last if last > first else limit, first, -1)
        solid = next((place for place in places if not text[place].isspace()), None)
        if solid is None:
            return None
        cluster = range(solid, max(first, solid - LONGEST_CLUSTER), -1)
        return next((place for place in cluster if not _continues(text, place)), solid)

    def _overlap(self, piece: Piece) -> int:
        """Where the piece after this one begins: with whole units that fit the overlap, else words, else tokens."""
        overlap = self.options.overlap
        if overlap <= 0:
            return piece.end
        floor = max(piece.start, piece.end - overlap * CHARS_PER_TOKEN)
        tokens = [max(floor, place) for place in self.ruler.reach_back(piece.end, overlap)]
        units = between(self.units, tokens[0], piece.end)[:4]
        word = self._word_from(tokens[0], piece.end)
        for place in (*units, word, *(self.ruler.solid(token, piece.end) for token in tokens)):
            if place < piece.end and self.ruler.count(place, piece.end) <= overlap:
                return place
        return piece.end

    def _word_from(self, start: int, end: int) -> int:
        """The start of the first word, in the first half of a part; its end where there is none."""
        text = self.ruler.text
        places = range(start, (start + end) // 2)
        begins = (p for p in places if not text[p].isspace() and (p == 0 or text[p - 1].isspace()))
        return next(begins, end)

    def _with_room(self, begin: int, fresh: int, end: int) -> int:
        """A later begin where the next unit would have to be cut for the sake of the overlap alone."""
        if last_until(self.units, fresh) != fresh:
            return begin
        after = min(end, first_after(self.units, fresh, end))
        size = self.options.size
        if self.ruler.tokens(begin, after) <= size or self.ruler.tokens(fresh, after) > size:
            return begin
        units = between(self.units, begin, fresh)
        return next((unit for unit in units if self.ruler.tokens(unit, after) <= size), fresh)


def span_of(piece: Piece, title: str = "", metadata: Mapping[str, Any] | None = None) -> Span:
    """A piece as a chunk."""
    return Span(
        start=piece.start,
        end=piece.end,
        fresh=piece.fresh,
        title=title,
        metadata=metadata or {},
        tokens=piece.tokens,
    )


def _continues(text: str, place: int) -> bool:
    """Whether a character belongs to the one before it, as accents and parts of emoji do."""
    here, before = text[place], text[place - 1]
    return (
        (here == "\n" and before == "\r")
        or here in JOINERS
        or before == "\u200d"
        or "\U0001f3fb" <= here <= "\U0001f3ff"
        or unicodedata.category(here) in {"Mn", "Me", "Mc"}
    )
