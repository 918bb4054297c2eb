"""One text for a prompt from the chunks that were found: pure, by the count of a tokenizer.

The best chunks come first. What another one says word for word is left out; neighbours of one document become one
part, in which what they share stands once; and what does not fit is skipped, so that smaller ones behind it may.
"""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen

SEPARATOR = "\n\n"
Count = Callable[[str], int]
MOST_TRIES = 4
"""So many candidates that a token or two more or less decides about may have the whole text counted, in vain."""


@frozen(kw_only=True)
class Candidate:
    """A chunk that was found, as far as it matters here."""

    collection: str
    document_id: str
    document_title: str
    index: int
    text: str
    start: int
    end: int
    score: float
    metadata: Mapping[str, Any] = field(factory=dict)

    @property
    def document(self) -> tuple[str, str]:
        """Whose chunk it is."""
        return self.collection, self.document_id

    def holds(self, other: "Candidate") -> bool:
        """Whether this one says all of the other one: it is around it in one document, or has its words in a row."""
        around = self.document == other.document and self.start <= other.start < other.end <= self.end
        return around or _stands_in(other.text.strip(), self.text)


@frozen(kw_only=True, eq=False)
class Part:
    """Chunks that stand in the text as one, in the order of their document. Tokens are counted once for each."""

    text: str
    chunks: Sequence[Candidate]

    @property
    def best(self) -> Candidate:
        """What it is ranked by."""
        return max(self.chunks, key=lambda chunk: chunk.score)

    def adjoins(self, other: "Part") -> bool:
        """Whether the other one goes on where this one ends: overlapping it, or as the next chunk of its document."""
        last, first = self.chunks[-1], other.chunks[0]
        return last.document == first.document and last.index + 1 == first.index and first.start <= last.end

    def joined(self, other: "Part") -> "Part":
        """Both, without what the other one repeats."""
        repeated = self.chunks[-1].end - other.chunks[0].start
        return Part(text=self.text + other.text[repeated:], chunks=[*self.chunks, *other.chunks])


@frozen(kw_only=True)
class Assembled:
    """The text, and what it was made from, in its order: the first part carries the number 1."""

    text: str
    tokens: int
    parts: Sequence[Part]
    skipped: int
    duplicates: int


def assembled(candidates: Sequence[Candidate], max_tokens: int, count: Count) -> Assembled:
    """The best of the candidates, which come best first, in at most so many tokens, headers and separators included."""
    context = _Context(count, max_tokens)
    skipped = sum(not context.take(candidate) for candidate in candidates)
    while (tokens := count(text := context.text())) > max_tokens:  # tokens of parts need not add up
        skipped += context.drop_last()
    return Assembled(text=text, tokens=tokens, parts=context.parts, skipped=skipped, duplicates=context.duplicates)


def rendered(number: int, part: Part) -> str:
    """A part under the number by which it is cited."""
    title = part.best.document_title or part.best.document_id
    return f"[{number}] {title}\n{part.text.strip()}"


@define(eq=False)
class _Context:
    _count: Count
    _max_tokens: int
    parts: list[Part] = field(factory=list, init=False)
    duplicates: int = field(default=0, init=False)
    """Of chunks that were left out, because another one holds them."""
    _tokens: dict[tuple[int, Part], int] = field(factory=dict, init=False)
    """Of the parts by themselves, under their numbers."""
    _saved: int | None = field(default=None, init=False)
    """So many fewer the text has than its parts by themselves; None before it is counted."""
    _tries: int = field(default=0, init=False)
    """Since a part came in."""

    def take(self, candidate: Candidate) -> bool:
        """Whether it is in now, or another one says it already; it takes the place of those that it holds."""
        chunks = [chunk for part in self.parts for chunk in part.chunks]
        if any(chunk.holds(candidate) for chunk in chunks):
            self.duplicates += 1
            return True
        held = [chunk for chunk in chunks if candidate.holds(chunk)]
        new = Part(text=candidate.text, chunks=[candidate])
        parts = self._replaced(held, candidate) if held else _with(self.parts, new)
        tokens = self._tokens_of(parts)
        if not self._fits(tokens):
            return False
        self.parts, self._tokens, self._saved, self._tries = parts, tokens, None, 0
        self.duplicates += len(held)
        return True

    def drop_last(self) -> int:
        """Give up the last part; returns its chunks."""
        return len(self.parts.pop().chunks)

    def text(self) -> str:
        """All parts."""
        return _text(self.parts)

    def _replaced(self, held: Sequence[Candidate], candidate: Candidate) -> list[Part]:
        """The parts anew, with a chunk in the place of the first that it holds; its score stays its own."""
        parts: list[Part] = []
        for part in self.parts:
            for piece in _without(part, held, candidate):
                parts = _with(parts, piece)
        return parts

    def _tokens_of(self, parts: Sequence[Part]) -> dict[tuple[int, Part], int]:
        known = self._tokens
        return {one: known[one] if one in known else self._count(_piece(*one)) for one in enumerate(parts, 1)}

    def _fits(self, tokens: Mapping[tuple[int, Part], int]) -> bool:
        """Whether these parts are within the budget; the whole text is counted only where that depends on its seams."""
        total, seams = sum(tokens.values()), len(tokens) - 1
        if total <= self._max_tokens or total - seams > self._max_tokens:
            return total <= self._max_tokens
        if self._tries == MOST_TRIES:
            return False
        new = len(tokens.keys() - self._tokens.keys())
        if total - min(seams, self._saved_so_far() + 2 * new) > self._max_tokens:  # each has two seams
            return False
        self._tries += 1
        return self._count("".join(_piece(*one) for one in tokens)) <= self._max_tokens

    def _saved_so_far(self) -> int:
        if self._saved is None:
            self._saved = sum(self._tokens.values()) - self._count(self.text())
        return self._saved


def _text(parts: Sequence[Part]) -> str:
    return "".join(_piece(number, part) for number, part in enumerate(parts, 1))


def _piece(number: int, part: Part) -> str:
    """What a part adds to the text. At a seam between two of them a tokenizer saves a token at most."""
    return f"{SEPARATOR if number > 1 else ''}{rendered(number, part)}"


def _without(part: Part, held: Sequence[Candidate], candidate: Candidate) -> list[Part]:
    """A part as it is, or its chunks one by one, with the candidate for the first of those that it holds."""
    if not any(chunk is one for chunk in part.chunks for one in held):
        return [part]
    chunks = [candidate if chunk is held[0] else chunk for chunk in part.chunks]
    kept = [chunk for chunk in chunks if not any(chunk is one for one in held)]
    return [Part(text=chunk.text, chunks=[chunk]) for chunk in kept]


def _with(parts: Sequence[Part], new: Part) -> list[Part]:
    """The new part in the place of the best of those that it adjoins, else behind all."""
    before = next((part for part in parts if part.adjoins(new)), None)
    after = next((part for part in parts if new.adjoins(part)), None)
    joined = before.joined(new) if before else new
    joined = joined.joined(after) if after else joined
    places = [place for place, part in enumerate(parts) if part is before or part is after]
    if not places:
        return [*parts, new]
    return [joined if place == places[0] else part for place, part in enumerate(parts) if place not in places[1:]]


def _stands_in(said: str, text: str) -> bool:
    """Whether the words of one text stand in a row in another one, none of them as a part of a longer word."""
    place = text.find(said)
    while place >= 0:
        if _is_bound(text, place) and _is_bound(text, place + len(said)):
            return True
        place = text.find(said, place + 1)
    return False


def _is_bound(text: str, place: int) -> bool:
    """Whether no word goes on there."""
    inside = 0 < place < len(text)
    return not (inside and _is_of_word(text[place - 1]) and _is_of_word(text[place]))


def _is_of_word(character: str) -> bool:
    return character == "_" or unicodedata.category(character)[0] in "LMN"
