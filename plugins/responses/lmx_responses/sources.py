"""What searches have found: numbered, shown to the model, and cited by it.

A model cites with the number of an excerpt in square brackets, `[2]`, or several, `[2, 5]`. Each number that an excerpt
has becomes one `file_citation` whose `index` is where the bracket opens; the text stays as the model wrote it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen

from lmx_hookspecs.queries import FoundChunk

MARKER = re.compile(r"\[(\d{1,4}(?:\s*,\s*\d{1,4})*)\]")
NOTHING = "Nothing was found in the files."
HEADING = "Excerpts from the user's files, each under its number and the name of its file:"
RULE = (
    "Use what they say where it answers the question, and put the number of the excerpt in square brackets behind what "
    "you take from it, such as [{number}]. Where they do not answer it, say so."
)


@frozen(kw_only=True)
class Source:
    """One chunk of a file, by the number that it has in this response."""

    number: int
    file_id: str
    filename: str
    score: float
    text: str
    attributes: Mapping[str, Any]
    tokens: int

    def plain(self) -> dict[str, Any]:
        """As a `file_search_call` lists it."""
        return {
            "file_id": self.file_id,
            "filename": self.filename,
            "score": self.score,
            "text": self.text,
            "attributes": dict(self.attributes),
        }

    def citation(self, index: int) -> dict[str, Any]:
        """An annotation of a text that cites it there."""
        return {"type": "file_citation", "index": index, "file_id": self.file_id, "filename": self.filename}


@define(eq=False)
class Sources:
    """All that one response has found: a chunk keeps its number however often it is found."""

    _by_place: dict[tuple[str, str, int], Source] = field(factory=dict)

    def numbered(self, found: Iterable[FoundChunk]) -> list[Source]:
        """These chunks, in their order."""
        return [self._numbered(one) for one in found]

    def _numbered(self, one: FoundChunk) -> Source:
        hit = one.hit
        place = one.collection, hit.document_id, hit.chunk.index
        if place not in self._by_place:
            self._by_place[place] = Source(
                number=len(self._by_place) + 1,
                file_id=hit.document_id,
                filename=hit.document_title or hit.document_id,
                score=hit.relevance,
                text=hit.chunk.text,
                attributes=_attributes(hit.metadata, hit.chunk.metadata),
                tokens=hit.chunk.tokens,
            )
        return self._by_place[place]


def within(sources: Sequence[Source], tokens: int) -> list[Source]:
    """The best that fit together; one that does not fit is skipped, and smaller ones behind it may."""
    kept, left = [], tokens
    for source in sources:
        if source.tokens <= left:
            kept.append(source)
            left -= source.tokens
    return kept


def excerpts(sources: Sequence[Source]) -> str:
    """What a model reads."""
    if not sources:
        return NOTHING
    parts = [f"[{source.number}] {source.filename}\n{source.text}" for source in sources]
    return "\n\n".join([HEADING, *parts, RULE.format(number=sources[0].number)])


def citations(text: str, cited: Mapping[int, Source]) -> list[dict[str, Any]]:
    """The annotations of a text."""
    return [
        cited[number].citation(marker.start())
        for marker in MARKER.finditer(text)
        for number in dict.fromkeys(map(int, marker.group(1).split(",")))
        if number in cited
    ]


def _attributes(metadata: Mapping[str, Any], of_chunk: Mapping[str, Any]) -> Mapping[str, Any]:
    """Those of the file."""
    return {
        key: value for key, value in metadata.items() if key not in of_chunk and isinstance(value, str | int | float)
    }
