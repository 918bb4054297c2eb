"""What the dialects have in common: text and reasoning in turn, and blocks of calls in either."""

from collections.abc import Callable, Mapping

from lmx_dialects.markup import THINK
from lmx_dialects.modes import Machine, Mode, Opener, Prose, Start
from lmx_dialects.sink import Sink
from lmx_dialects.tags import TagSet
from lmx_hookspecs import DialectParser, ParserRequest

Pair = tuple[str, str]
OpenCall = Callable[[Sink, Mode], Mode]


def chat(
    request: ParserRequest,
    calls: Mapping[str, OpenCall],
    *,
    tags: tuple[str, ...],
    thinking: tuple[Pair, ...] = (THINK,),
    bare: Mapping[str, OpenCall] | None = None,
) -> DialectParser:
    """A parser of answers in which tags begin calls and reasoning.

    `tags` are those of calls that clients never see; `bare` are calls that only their first character announces, at
    the beginning of an answer to a request with tools.
    """
    pairs = () if request.reasoning == "off" else thinking
    sink = Sink.of(request, TagSet.of((*tags, *(tag for pair in pairs for tag in pair))))
    calls_only = {tag: _opener(sink, open_call) for tag, open_call in calls.items()}
    openers = calls_only | {start: _reasoning(sink, start, end, calls_only) for start, end in pairs}
    text = Prose(sink.text, openers)
    if pair := _begun(request, pairs):
        return Machine(sink, openers[pair[0]](text))
    if bare and request.tools:
        return Machine(sink, Start(text, {char: _opener(sink, open_call) for char, open_call in bare.items()}))
    return Machine(sink, text)


def _begun(request: ParserRequest, pairs: tuple[Pair, ...]) -> Pair | None:
    """The pair within which the answer begins."""
    prompt = request.prompt_end.rstrip()
    in_prompt = next((pair for pair in pairs if prompt.endswith(pair[0])), None)
    return in_prompt or (pairs[0] if pairs and request.reasoning == "open" else None)


def _opener(sink: Sink, open_call: OpenCall) -> Opener:
    return lambda home: open_call(sink, home)


def _reasoning(sink: Sink, start: str, end: str, calls: Mapping[str, Opener]) -> Opener:
    """Reasoning that returns to the text; a call inside it is a call, for models forget to end it."""

    def begin(home: Mode) -> Mode:
        sink.turn()
        return Prose(sink.reasoning, {**calls, start: lambda here: _back(sink, here), end: lambda _: _back(sink, home)})

    return begin


def _back(sink: Sink, home: Mode) -> Mode:
    sink.turn()
    return home
