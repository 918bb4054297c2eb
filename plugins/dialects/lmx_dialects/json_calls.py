"""Calls as JSON objects, one or several, between two tags or behind one."""

from attrs import Factory, define, field

from lmx_dialects.call_object import CallObject, NotACall
from lmx_dialects.modes import Mode
from lmx_dialects.sink import Sink
from lmx_dialects.tags import TagScanner, TagSet

SEPARATORS = " \t\r\n,;[]"
"""What may stand around the objects, which some models write as a list."""
STRAY = "a block of calls holds something else"


@define(eq=False)
class JsonCalls:
    """Reads until an end tag; without end tags, until something follows that is neither an object nor a separator."""

    _sink: Sink
    _home: Mode
    _ends: TagSet
    _starts: frozenset[str] = frozenset()
    """End tags that begin the next block."""
    _bare: bool = False
    """Whether only its content says that it is a call: then anything else is text like any other."""
    _object: CallObject | None = field(default=None, init=False)
    _scanner: TagScanner = field(init=False, default=Factory(lambda self: TagScanner(self._ends), takes_self=True))
    _raw: list[str] = field(factory=list, init=False)
    """What is not part of a call, or not yet."""
    _reason: str = field(default="", init=False)
    """Why what comes up to the end tag is no call."""
    _called: bool = field(default=False, init=False)

    def feed(self, text: str) -> tuple[Mode, str]:
        """Read on, in the object or beside it."""
        if self._object is not None:
            return self._in_object(self._object, text)
        return self._between_tags(text) if self._ends.tags else self._behind_tag(text)

    def finish(self) -> None:
        """What is not complete is no call."""
        if self._object is not None:
            self._give_up(self._object, "it ends before it is complete")
        self._raw.append(self._scanner.finish())
        self._end_block()
        self._home.finish()

    def _in_object(self, reader: CallObject, text: str) -> tuple[Mode, str]:
        end = reader.feed(text)
        self._raw.append(text[:end])
        ended = reader.complete or reader.broken
        if reader.complete:
            self._complete(reader)
        elif reader.broken:
            self._give_up(reader, "it is not valid JSON")
        if ended and not self._ends.tags and not self._called:
            self._end_block()
            return self._home, text[end:]
        return self, text[end:]

    def _between_tags(self, text: str) -> tuple[Mode, str]:
        before, tag, rest = self._scanner.feed(text)
        lead = before.lstrip(SEPARATORS)
        self._raw.append(before[: len(before) - len(lead)])
        if lead.startswith("{") and not self._reason:
            self._object = CallObject(self._sink)
            return self, lead + (tag or self._scanner.finish()) + rest
        if lead:
            self._raw.append(lead)
            self._reason = self._reason or STRAY
        if tag is None:
            return self, rest
        self._end_block()
        self._sink.turn()
        return self._home, (tag + rest if tag in self._starts else rest)

    def _behind_tag(self, text: str) -> tuple[Mode, str]:
        lead = text.lstrip(SEPARATORS)
        self._raw.append(text[: len(text) - len(lead)])
        if lead.startswith("{"):
            self._object = CallObject(self._sink, strict=self._bare)
            return self, lead
        if not lead:
            return self, ""
        self._end_block()
        return self._home, lead

    def _complete(self, reader: CallObject) -> None:
        self._object = None
        try:
            if not reader.streaming:
                self._sink.call(*reader.call(), "".join(self._raw))
        except NotACall as error:
            self._reason = f"a call {error}"
            if self._ends.tags or not self._bare:
                self._no_call()
            else:
                self._called = False
                return
        self._raw.clear()
        self._reason = ""
        self._called = True

    def _give_up(self, reader: CallObject, what: str) -> None:
        self._object = None
        if reader.streaming:
            self._sink.warn(f"the arguments of a call break off: {what}")
            self._raw.clear()
        self._called = False
        self._reason = STRAY if reader.streaming else f"a call is malformed: {what}"

    def _end_block(self) -> None:
        """What is left of a block is text, unless it is what may stand around calls."""
        if self._reason or not self._called:
            self._no_call()
        self._raw.clear()
        self._reason = ""

    def _no_call(self) -> None:
        raw = "".join(self._raw)
        if self._bare:
            self._sink.text(raw)
        elif raw.strip():
            self._sink.malformed(raw, self._reason or STRAY)
