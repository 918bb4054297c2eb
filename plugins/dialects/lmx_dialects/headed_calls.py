"""A call as a header that names it, then the JSON object of its arguments: DeepSeek, Kimi, Mistral, harmony."""

from collections.abc import Callable

from attrs import Factory, define, field

from lmx_dialects.json_stream import JsonStream
from lmx_dialects.modes import Mode
from lmx_dialects.sink import Sink
from lmx_dialects.tags import TagScanner, TagSet

MAX_HEADER = 1_000
"""Characters; what is longer names nothing."""


@define(eq=False)
class HeadedCall:
    """Reads until an end tag; without end tags, until the object is complete."""

    _sink: Sink
    _home: Mode
    _name_of: Callable[[str], str | None]
    """The name in a header, which is everything before the object; None where there is none."""
    _ends: TagSet
    _starts: frozenset[str] = frozenset()
    """End tags that begin the next call."""
    _trailer: str = ""
    """What may stand between the object and the end tag, beside white space."""
    _scanner: TagScanner = field(init=False)
    _tail: TagScanner = field(init=False, default=Factory(lambda self: TagScanner(self._ends), takes_self=True))
    _header: list[str] = field(factory=list, init=False)
    _header_chars: int = field(default=0, init=False)
    _name: str = field(default="", init=False)
    _json: JsonStream | None = field(default=None, init=False)
    _arguments: list[str] = field(factory=list, init=False)
    _live: bool = field(default=False, init=False)
    _rest: list[str] = field(factory=list, init=False)
    """What follows the object, or takes its place."""
    _reason: str = field(default="", init=False)

    def __attrs_post_init__(self) -> None:
        self._scanner = TagScanner(TagSet.of((*self._ends.tags, "{")))

    def feed(self, text: str) -> tuple[Mode, str]:
        """Read on, in the header, the object or behind it."""
        if self._reason or (self._json and self._json.complete):
            return self._behind(text)
        return self._in_object(self._json, text) if self._json else self._in_header(text)

    def finish(self) -> None:
        """A call whose object is complete needs no end."""
        self._header.append(self._scanner.finish())
        self._rest.append(self._tail.finish())
        if not self._reason and not (self._json and self._json.complete):
            self._fail("it ends before it is complete")
        self._end()
        self._home.finish()

    def _in_header(self, text: str) -> tuple[Mode, str]:
        before, tag, rest = self._scanner.feed(text)
        self._header.append(before)
        self._header_chars += len(before)
        short = self._header_chars <= MAX_HEADER
        if tag is None and short:
            return self, rest
        if tag == "{" and short:
            self._json = JsonStream()
            self._name = self._name_of("".join(self._header)) or ""
            if self._name:
                self._live = self._sink.stream_call(self._name)
                return self, tag + rest
        self._fail("it names no function")
        return self, (tag or self._scanner.finish()) + rest

    def _in_object(self, reader: JsonStream, text: str) -> tuple[Mode, str]:
        written, end = reader.feed(text)
        if self._live:
            self._sink.fragment(written)
        else:
            self._arguments.append(written)
        if reader.broken:
            self._fail("its arguments are not valid JSON")
        elif reader.complete:
            self._complete()
            if not self._ends.tags:
                return self._home, text[end:]
        return self, text[end:]

    def _behind(self, text: str) -> tuple[Mode, str]:
        if not self._ends.tags:
            self._end()
            return self._home, text
        before, tag, rest = self._tail.feed(text)
        self._rest.append(before)
        if tag is None:
            return self, rest
        self._end()
        self._sink.turn()
        return self._home, (tag + rest if tag in self._starts else rest)

    def _complete(self) -> None:
        if not self._live:
            arguments = "".join(self._arguments)
            self._sink.call(self._name, arguments, "".join(self._header) + arguments)
        self._header, self._arguments = [], []

    def _fail(self, what: str) -> None:
        self._reason = f"a call is malformed: {what}"
        if self._live:
            self._sink.warn(f"the arguments of a call break off: {what}")
            self._header = []

    def _end(self) -> None:
        rest = "".join(self._rest)
        if not self._reason and rest.strip() in ("", self._trailer):
            return
        raw = "".join((*self._header, *self._arguments)) + rest
        self._header, self._arguments, self._rest = [], [], []
        if raw.strip():
            self._sink.malformed(raw, self._reason or "a call is followed by something else inside its block")


@define(eq=False)
class Section:
    """Between the calls of a section that has tags of its own: nothing but white space is expected there."""

    _sink: Sink
    _home: Mode
    _call: Callable[[Mode], Mode]
    _call_begins: str
    _section_ends: tuple[str, ...]
    _starts: frozenset[str] = frozenset()
    """Section ends that begin something else."""
    _scanner: TagScanner = field(init=False)
    _stray: list[str] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self._scanner = TagScanner(TagSet.of((self._call_begins, *self._section_ends)))

    def feed(self, text: str) -> tuple[Mode, str]:
        """Find the next call, or the end."""
        before, tag, rest = self._scanner.feed(text)
        self._stray.append(before)
        if tag is None:
            return self, rest
        self._flush()
        self._sink.turn()
        if tag == self._call_begins:
            return self._call(self), rest
        return self._home, (tag + rest if tag in self._starts else rest)

    def finish(self) -> None:
        """A section without an end."""
        self._stray.append(self._scanner.finish())
        self._flush()
        self._home.finish()

    def _flush(self) -> None:
        stray = "".join(self._stray)
        self._stray.clear()
        if stray.strip():
            self._sink.malformed(stray, "a section of calls holds something else")
