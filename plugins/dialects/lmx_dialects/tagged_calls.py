"""Calls between two tags whose body is read once it is complete: XML forms, Gemma, pythonic."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import Factory, define, field

from lmx_dialects.call_object import NotACall
from lmx_dialects.modes import Mode
from lmx_dialects.sink import Sink
from lmx_dialects.tags import TagScanner, TagSet

GLIMPSE = 256
"""Characters at the beginning of a body, and before an end tag, that tell whether it is the end."""
Call = tuple[str, str]
"""Name, and arguments as the text of a JSON object."""
Schemas = Mapping[str, Mapping[str, Any]]
Read = Callable[[str, Schemas], Sequence[Call]]
"""The calls in a body; raises NotACall."""


def anywhere(head: str, tail: str) -> bool:  # noqa: ARG001  every end tag is one
    """Every end tag is one."""
    return True


@define(eq=False)
class TaggedCalls:
    """Collects a body, and reads it. An end tag inside a value is told from the end by what stands before it."""

    _sink: Sink
    _home: Mode
    _read: Read
    _ends: TagSet
    _starts: frozenset[str] = frozenset()
    """End tags that begin the next block."""
    _may_end: Callable[[str, str], bool] = anywhere
    """Whether an end tag ends a body with these first characters, and these before the tag."""
    _begun: str = ""
    """The first part of the body."""
    _scanner: TagScanner = field(init=False, default=Factory(lambda self: TagScanner(self._ends), takes_self=True))
    _body: list[str] = field(init=False, default=Factory(lambda self: [self._begun], takes_self=True))
    _head: str = field(init=False, default=Factory(lambda self: self._begun, takes_self=True))
    _tail: str = field(init=False, default=Factory(lambda self: self._begun, takes_self=True))
    _first_end: int | None = field(default=None, init=False)
    """Where in the body the first end tag stands that was taken for a part of a value."""

    def feed(self, text: str) -> tuple[Mode, str]:
        """Collect up to the end tag."""
        before, tag, rest = self._scanner.feed(text)
        self._take(before)
        if tag is None:
            return self, rest
        starts = tag in self._starts
        ends_here = self._may_end(self._head, self._tail)
        if not ends_here and not (starts and self._first_end is not None):
            self._first_end = len(self._body) if self._first_end is None and not starts else self._first_end
            self._take(tag)
            return self, rest
        self._end(len(self._body) if ends_here else self._first_end)
        return self._home, (tag + rest if starts else rest)

    def finish(self) -> None:
        """A body without an end may be whole all the same; or it ended before, where it did not look like an end."""
        self._take(self._scanner.finish())
        self._end(self._first_end)
        self._home.finish()

    def _take(self, text: str) -> None:
        self._body.append(text)
        self._head = (self._head + text[:GLIMPSE])[:GLIMPSE]
        self._tail = (self._tail + text[-GLIMPSE:])[-GLIMPSE:]

    def _end(self, place: int | None) -> None:
        end = len(self._body) if place is None else place
        body, rest = "".join(self._body[:end]), "".join(self._body[end + 1 :])
        try:
            calls = self._read(body, self._sink.tools)
        except NotACall as error:
            self._sink.malformed("".join(self._body), f"a call is malformed: it {error}")
        else:
            self._sink.calls(calls, body)
            if rest:
                self._sink.text(rest)
        self._sink.turn()
