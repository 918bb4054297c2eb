"""The channels of gpt-oss.

Source: https://cookbook.openai.com/articles/openai-harmony
"""

import re
from collections.abc import Callable

from attrs import Factory, define, field

from lmx_dialects.headed_calls import HeadedCall
from lmx_dialects.markup import HARMONY_BEGINS, HARMONY_ENDS, HARMONY_MESSAGE
from lmx_dialects.modes import Mode, Opener, Prose
from lmx_dialects.sink import Sink
from lmx_dialects.tags import TagScanner, TagSet

_HEADER = re.compile(
    r"(?:<\|start\|>)?\s*(?:assistant)?\s*(?:to=(?P<to>[\w.\-]+))?\s*"
    r"<\|channel\|>\s*(?P<channel>analysis|commentary|final)"
    r"\s*(?:to=(?P<also_to>[\w.\-]+))?\s*(?:(?:<\|constrain\|>)?\s*(?:json|code|text))?\s*"
)


def between_messages(sink: Sink) -> Mode:
    """The answer begins between two messages, as the prompt ends with the role of the answer."""
    return _prose(sink, sink.text)


def _prose(sink: Sink, say: Callable[[str], None]) -> Prose:
    return Prose(
        say, {**{tag: _header(sink, tag) for tag in HARMONY_BEGINS}, **{tag: _between(sink) for tag in HARMONY_ENDS}}
    )


def _header(sink: Sink, tag: str) -> Opener:
    def open_header(_: Mode) -> Mode:
        sink.turn()
        return Header(sink, tag)

    return open_header


def _between(sink: Sink) -> Opener:
    def end_message(_: Mode) -> Mode:
        sink.turn()
        return _prose(sink, sink.text)

    return end_message


@define(eq=False)
class Header:
    """Says for whom the message is."""

    _sink: Sink
    _begun_by: str
    _scanner: TagScanner = field(
        init=False, default=Factory(lambda: TagScanner(TagSet.of((HARMONY_MESSAGE, *HARMONY_ENDS))))
    )
    _text: list[str] = field(init=False, default=Factory(lambda self: [self._begun_by], takes_self=True))

    def feed(self, text: str) -> tuple[Mode, str]:
        """Read up to the message."""
        before, tag, rest = self._scanner.feed(text)
        self._text.append(before)
        if tag is None:
            return self, rest
        if tag != HARMONY_MESSAGE:
            self._spoil()
            return _prose(self._sink, self._sink.text), rest
        return self._message("".join(self._text)), rest

    def finish(self) -> None:
        """A header without a message."""
        self._text.append(self._scanner.finish())
        self._spoil()

    def _message(self, header: str) -> Mode:
        match = _HEADER.fullmatch(header)
        if not match:
            self._spoil()
            return _prose(self._sink, self._sink.text)
        if recipient := match["to"] or match["also_to"]:
            return self._call(recipient)
        self._sink.turn()
        return _prose(self._sink, self._sink.reasoning if match["channel"] == "analysis" else self._sink.text)

    def _call(self, recipient: str) -> Mode:
        name = recipient.removeprefix("functions.")
        home = _prose(self._sink, self._sink.text)
        ends = TagSet.of((*HARMONY_ENDS, *HARMONY_BEGINS))
        return HeadedCall(self._sink, home, lambda _: name, ends, starts=frozenset(HARMONY_BEGINS))

    def _spoil(self) -> None:
        text = "".join(self._text).removeprefix(self._begun_by)
        if text.strip():
            self._sink.malformed(text, "the header of a message is not understood")
