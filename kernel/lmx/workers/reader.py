"""The text of one row, read by its dialect's parser, and which of its tokens were what."""

from collections import deque

from attrs import define, field

from lmx_hookspecs.constraints import DialectParser, Parsed

Span = tuple[int, int]
"""Characters of the row's raw text, from and up to."""
NOTHING: Span = (0, 0)


@define(eq=False)
class Reader:
    """Places what the parser gives in the raw text, so that tokens can be told by where their text begins."""

    _parser: DialectParser
    called: bool = field(default=False, init=False)
    """Whether there was a call."""
    reasoning_tokens: int = field(default=0, init=False)
    """Tokens whose text begins inside the reasoning."""
    content: Span = field(default=NOTHING, init=False)
    """Where the text of the last reading stands."""
    settled: int = field(default=0, init=False)
    """Everything before this character has been read for good."""
    _undecided: list[str] = field(factory=list, init=False)
    """The raw text from there on."""
    _token_starts: deque[int] = field(factory=deque, init=False)

    def token(self, begins_at: int) -> None:
        """A token whose text begins there."""
        self._token_starts.append(begins_at)

    def read(self, text: str, *, ended: bool) -> Parsed:
        """What some more of the row's text turns out to be."""
        parsed = self._parser.feed(text) if text else Parsed()
        if ended:
            parsed = _joined(parsed, self._parser.finish())
        self._undecided.append(text)
        self.called = self.called or bool(parsed.tool_calls)
        self._settle(parsed, ended=ended)
        return parsed

    def _settle(self, parsed: Parsed, *, ended: bool) -> None:
        self.content = NOTHING
        if not (ended or parsed.text or parsed.reasoning or parsed.tool_calls):
            return
        raw, begin = "".join(self._undecided), self.settled
        thought = _place(raw, parsed.reasoning)
        said = _place(raw, parsed.text)
        whole = ended or parsed.tool_calls
        end = len(raw) if whole else max(thought[1], said[1])
        self.content = (begin + said[0], begin + said[1])
        self._count((begin + thought[0], begin + thought[1]), begin + end)
        self.settled, self._undecided = begin + end, [raw[end:]]

    def _count(self, reasoning: Span, settled: int) -> None:
        while self._token_starts and self._token_starts[0] < settled:
            begins_at = self._token_starts.popleft()
            self.reasoning_tokens += reasoning[0] <= begins_at < reasoning[1]


def _place(raw: str, part: str) -> Span:
    """Where a part stands; all of it, where the parser has put it together from several places."""
    if not part:
        return NOTHING
    begin = raw.find(part)
    return (0, len(raw)) if begin < 0 else (begin, begin + len(part))


def _joined(first: Parsed, last: Parsed) -> Parsed:
    return Parsed(
        text=first.text + last.text,
        reasoning=first.reasoning + last.reasoning,
        tool_calls=(*first.tool_calls, *last.tool_calls),
        warnings=(*first.warnings, *last.warnings),
    )
