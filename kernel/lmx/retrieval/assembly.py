"""One text for a prompt from the chunks that were found: pure, by the count of a tokenizer.

The best chunks come first. What says the same as another one is left out; neighbours of one document become one part,
in which what they share stands once; and what does not fit is skipped, so that smaller ones behind it may.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import define, evolve, field, frozen

SEPARATOR = "\n\n"
Count = Callable[[str], int]


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


@frozen(kw_only=True)
class Part:
    """Chunks that stand in the text as one, in the order of their document."""

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
    kept, duplicates = distinct(candidates)
    context = _Context(count, max_tokens)
    skipped = sum(not context.take(candidate) for candidate in kept)
    while (tokens := count(text := context.text())) > max_tokens:  # tokens of parts need not add up
        skipped += context.drop_last()
    return Assembled(text=text, tokens=tokens, parts=context.parts, skipped=skipped, duplicates=duplicates)


def distinct(candidates: Sequence[Candidate]) -> tuple[Sequence[Candidate], int]:
    """Those that say something of their own, and how many do not: a text that stands in another one says nothing."""
    kept: list[Candidate] = []
    for candidate in candidates:
        said = candidate.text.strip()
        if any(said in one.text for one in kept):
            continue
        within = [one for one in kept if one.text.strip() in candidate.text]
        if within:  # the larger one takes the place of the best that it holds
            place = kept.index(within[0])
            kept[place] = evolve(candidate, score=max(candidate.score, within[0].score))
            kept = [one for one in kept if one not in within[1:]]
        else:
            kept.append(candidate)
    return kept, len(candidates) - len(kept)


def rendered(number: int, part: Part) -> str:
    """A part under the number by which it is cited."""
    title = part.best.document_title or part.best.document_id
    return f"[{number}] {title}\n{part.text.strip()}"


@define(eq=False)
class _Context:
    _count: Count
    _max_tokens: int
    parts: list[Part] = field(factory=list, init=False)
    _tokens: list[int] = field(factory=list, init=False)
    """Of each part by itself, with its header and the separator behind it."""

    def take(self, candidate: Candidate) -> bool:
        """Whether it fits, and is in now."""
        parts = _with(self.parts, Part(text=candidate.text, chunks=[candidate]))
        known = dict(zip(((id(part), place) for place, part in enumerate(self.parts)), self._tokens, strict=True))
        tokens = [
            known.get((id(part), place)) or self._count(rendered(place + 1, part) + SEPARATOR)
            for place, part in enumerate(parts)
        ]
        if sum(tokens) > self._max_tokens and self._exceeds(parts):
            return False
        self.parts, self._tokens = parts, tokens
        return True

    def drop_last(self) -> int:
        """Give up the last part; returns its chunks."""
        self._tokens.pop()
        return len(self.parts.pop().chunks)

    def text(self) -> str:
        """All parts."""
        return _text(self.parts)

    def _exceeds(self, parts: Sequence[Part]) -> bool:
        return self._count(_text(parts)) > self._max_tokens


def _text(parts: Sequence[Part]) -> str:
    return SEPARATOR.join(rendered(number, part) for number, part in enumerate(parts, 1))


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
