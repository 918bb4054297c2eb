"""The check of dialects finds what is wrong with a parser."""

import pytest
from attrs import define, field

from lmx_hookspecs import DialectParser, DialectSpec, Parsed, ParserRequest
from lmx_hookspecs.testing import DialectSample, check_dialect

SAMPLES = [DialectSample(raw="a[think]b[/think]c", text="ac", reasoning="b"), DialectSample(raw="plain", text="plain")]
TAGS = ("[think]", "[/think]")


@define
class Buffered:
    """Reads everything at the end."""

    keep_tags: bool = False
    parts: list[str] = field(factory=list)

    def feed(self, text: str) -> Parsed:
        self.parts.append(text)
        return Parsed()

    def finish(self) -> Parsed:
        text: list[str] = []
        thought: list[str] = []
        inside = False
        rest = "".join(self.parts)
        while rest:
            begins, ends = rest.find(TAGS[0]) + 1, rest.find(TAGS[1]) + 1
            at = min((place for place in (begins, ends) if place), default=len(rest) + 1) - 1
            (thought if inside else text).append(rest[:at])
            tag = next((tag for tag in TAGS if rest.startswith(tag, at)), "")
            text.append(tag if self.keep_tags else "")
            inside = (tag == TAGS[0]) if tag else inside
            rest = rest[at + len(tag) :]
        return Parsed(text="".join(text).strip(), reasoning="".join(thought).strip())


@define
class Rescanning(Buffered):
    buffer: str = ""

    def feed(self, text: str) -> Parsed:
        self.buffer += text
        self.buffer.find(TAGS[1])
        return super().feed(text)


@define
class PerChunk:
    """Sees tags only within one chunk."""

    def feed(self, text: str) -> Parsed:
        whole = Buffered()
        whole.feed(text)
        return whole.finish()

    def finish(self) -> Parsed:
        return Parsed()


@define
class Losing(Buffered):
    def finish(self) -> Parsed:
        whole = super().finish()
        return Parsed(text=whole.text.replace("·", ""), reasoning=whole.reasoning)


def spec(parser: type[DialectParser], **fields: bool) -> DialectSpec:
    def make(_: ParserRequest) -> DialectParser:
        return parser(**fields)

    return DialectSpec(name="mine", matches=lambda _: True, parser=make, tags=TAGS, tools=False)


def test_a_parser_that_gives_a_tag_to_the_client_is_found() -> None:
    with pytest.raises(AssertionError, match="gave the text 'a\\[think\\]"):
        check_dialect(spec(Buffered, keep_tags=True), SAMPLES)


def test_a_parser_that_depends_on_the_split_is_found() -> None:
    with pytest.raises(AssertionError, match="in one piece it gives"):
        check_dialect(spec(PerChunk), SAMPLES)


def test_a_parser_that_loses_something_is_found() -> None:
    with pytest.raises(AssertionError, match="lost"):
        check_dialect(spec(Losing), SAMPLES)


def test_a_parser_that_looks_at_everything_again_with_each_chunk_is_found() -> None:
    with pytest.raises(AssertionError, match="times the work"):
        check_dialect(spec(Rescanning), SAMPLES)


def test_a_dialect_without_samples_proves_nothing() -> None:
    with pytest.raises(AssertionError, match="no samples"):
        check_dialect(spec(Buffered), [])
