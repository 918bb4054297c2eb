"""The machine that reads an answer, and the mode in which it reads prose."""

from collections.abc import Callable, Mapping
from typing import Protocol

from attrs import Factory, define, field

from lmx_dialects.sink import Sink
from lmx_dialects.tags import TagScanner, TagSet
from lmx_hookspecs import Parsed


class Mode(Protocol):
    """How a stretch of the answer is read."""

    def feed(self, text: str) -> "tuple[Mode, str]":
        """Take some text, not empty; returns the mode to go on in, and what is left for it."""

    def finish(self) -> None:
        """The answer ends here."""


Opener = Callable[[Mode], Mode]
"""Makes the mode that a tag begins; it is given the mode to return to."""


@define(eq=False)
class Machine:
    """A DialectParser: a sink, and the mode of the moment."""

    _sink: Sink
    _mode: Mode

    def feed(self, text: str) -> Parsed:
        """What is certain so far."""
        while text:
            self._mode, text = self._mode.feed(text)
        return self._sink.take()

    def finish(self) -> Parsed:
        """What was held back."""
        self._mode.finish()
        return self._sink.finish()


@define(eq=False)
class Prose:
    """Text or reasoning, until a tag begins something else."""

    _say: Callable[[str], None]
    _openers: Mapping[str, Opener]
    _scanner: TagScanner = field(
        init=False, default=Factory(lambda self: TagScanner(TagSet.of(self._openers)), takes_self=True)
    )

    def feed(self, text: str) -> tuple[Mode, str]:
        """Give out what comes before a tag."""
        before, tag, rest = self._scanner.feed(text)
        if before:
            self._say(before)
        return (self, rest) if tag is None else (self._openers[tag](self), rest)

    def finish(self) -> None:
        """What may have become a tag is text."""
        self._say(self._scanner.finish())


@define(eq=False)
class Start:
    """The answer's first character that is no white space decides: an opener's mode, or prose."""

    _prose: Mode
    _openers: Mapping[str, Opener]
    """By that character, which they are given too."""
    _space: list[str] = field(factory=list)

    def feed(self, text: str) -> tuple[Mode, str]:
        """Wait for that character."""
        stripped = text.lstrip()
        if not stripped:
            self._space.append(text)
            return self, ""
        opener = self._openers.get(stripped[0])
        text = "".join(self._space) + text
        return (opener(self._prose), text) if opener else (self._prose, text)

    def finish(self) -> None:
        """An answer of white space."""
        if self._space:
            self._prose.feed("".join(self._space))
        self._prose.finish()
