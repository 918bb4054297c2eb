"""Literal tags in a stream of text, found across chunks in linear time."""

import re
from collections.abc import Iterable

from attrs import Factory, define, field, frozen


@frozen(eq=False)
class TagSet:
    """Tags of which none is part of another, so that the first one found is found whatever comes after it."""

    tags: tuple[str, ...]
    longest: int = field(init=False, default=Factory(lambda self: max(map(len, self.tags), default=0), takes_self=True))
    _pattern: re.Pattern[str] = field(init=False, default=Factory(lambda self: _pattern(self.tags), takes_self=True))
    _prefixes: frozenset[str] = field(init=False, default=Factory(lambda self: _prefixes(self.tags), takes_self=True))
    _first_chars: frozenset[str] = field(
        init=False, default=Factory(lambda self: frozenset(tag[0] for tag in self.tags), takes_self=True)
    )

    @classmethod
    def of(cls, tags: Iterable[str]) -> "TagSet":
        """The tags, each once; raises ValueError where one is part of another."""
        unique = tuple(dict.fromkeys(tags))
        for tag in unique:
            if any(tag in other for other in unique if other != tag):
                raise ValueError(f"the tag {tag!r} is part of another")
        return cls(unique)

    def search(self, text: str, start: int = 0) -> re.Match[str] | None:
        """The first tag at or behind `start`."""
        return self._pattern.search(text, start)

    def pieces(self, text: str) -> Iterable[tuple[str, str | None]]:
        """What stands before each tag, with that tag; at last what follows the last one, with None."""
        start = 0
        for match in self._pattern.finditer(text):
            yield text[start : match.start()], match.group()
            start = match.end()
        yield text[start:], None

    def absent(self, text: str) -> bool:
        """Whether no tag, and no part of one, can be in it: the usual case, quickly told."""
        return self._first_chars.isdisjoint(text)

    def open_suffix(self, text: str) -> str:
        """The longest end of the text with which a tag may begin."""
        tail = text[-(self.longest - 1) :] if self.longest > 1 else ""
        if self._first_chars.isdisjoint(tail):
            return ""
        return next((tail[start:] for start in range(len(tail)) if tail[start:] in self._prefixes), "")


@define(eq=False)
class TagScanner:
    """Follows one stream; what may become a tag is held back."""

    tags: TagSet
    _held: str = ""

    def feed(self, text: str) -> tuple[str, str | None, str]:
        """What certainly stands before the next tag; the tag, if it is complete, and what follows it."""
        if not self._held and self.tags.absent(text):
            return text, None, ""
        text, self._held = self._held + text, ""
        match = self.tags.search(text)
        if match:
            return text[: match.start()], match.group(), text[match.end() :]
        self._held = self.tags.open_suffix(text)
        return text[: len(text) - len(self._held)], None, ""

    def finish(self) -> str:
        """What was held back in vain."""
        held, self._held = self._held, ""
        return held


def _pattern(tags: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, tags)) or r"(?!)")


def _prefixes(tags: Iterable[str]) -> frozenset[str]:
    return frozenset(tag[:end] for tag in tags for end in range(1, len(tag)))
