"""Where a parser puts what it has understood: text, reasoning and calls, in the form that clients get them."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field

from lmx_dialects.tags import TagSet
from lmx_dialects.untagged import Untagged
from lmx_hookspecs import Parsed, ParserRequest, ToolCallDelta

SPACE = " \t\r\n"
MAX_QUOTED = 60
TELLING_CHARS = 3
"""A shorter beginning of a tag may as well be a sign that the text ends in: `<`, `</`, `[`."""


@define(eq=False)
class Channel:
    """One of the two streams of prose. White space beside markup is part of the markup."""

    _gate: Untagged
    _out: list[str] = field(factory=list)
    _space: list[str] = field(factory=list)
    _after_markup: bool = False

    def say(self, text: str) -> None:
        """Some more of it; white space at its end waits for what follows."""
        self._pass(self._gate.feed(text))

    def turn(self) -> None:
        """Markup stands here."""
        self._pass(self._gate.flush())
        self._space.clear()
        self._after_markup = True

    def end(self) -> None:
        """Nothing follows."""
        self._pass(self._gate.flush())
        self._out += self._space
        self._space.clear()

    @property
    def broken_tag(self) -> str:
        """The beginning of a tag, with which it ended; it is text, since it may have been."""
        fragment = self._gate.open_end
        return fragment if len(fragment) >= TELLING_CHARS else ""

    def take(self) -> str:
        """What is certain since the last time."""
        taken = "".join(self._out)
        self._out.clear()
        return taken

    def stray_tags(self) -> Sequence[str]:
        """Tags that did not belong there."""
        removed = self._gate.removed[:]
        self._gate.removed.clear()
        return removed

    def _pass(self, text: str) -> None:
        if self._after_markup:
            text = text.lstrip(SPACE)
            self._after_markup = not text
        said = text.rstrip(SPACE)
        if said:
            self._out += (*self._space, said)
            self._space.clear()
        self._space.append(text[len(said) :])


@define(eq=False)
class Sink:
    """Collects for one choice."""

    request: ParserRequest
    tools: Mapping[str, Mapping[str, Any]]
    """The JSON schema of the parameters of each tool, by name."""
    _text: Channel
    _reasoning: Channel
    _deltas: list[ToolCallDelta] = field(factory=list)
    _warnings: list[str] = field(factory=list)
    _told: set[str] = field(factory=set)
    _calls: int = 0
    _spoiled: bool = False
    """What came last was malformed."""

    @classmethod
    def of(cls, request: ParserRequest, tags: TagSet) -> "Sink":
        """A fresh one, through whose text none of the tags passes."""
        return cls(request, schemas_of(request.tools), Channel(Untagged(tags)), Channel(Untagged(tags)))

    def text(self, text: str) -> None:
        """Prose for the client."""
        self._spoiled = False
        self._text.say(text)

    def reasoning(self, text: str) -> None:
        """Thoughts before it."""
        self._spoiled = False
        self._reasoning.say(text)

    def turn(self) -> None:
        """Markup stands here; behind what came to nothing the white space stays."""
        if not self._spoiled:
            self._edge()
        self._spoiled = False

    def call(self, name: str, arguments: str, raw: str) -> None:
        """A complete call; `raw` is how the model wrote it, for the case that it is none of the request's tools."""
        if name not in self.tools:
            self._unknown(name, raw)
        elif self._allowed():
            self._begin(name)
            self._deltas.append(ToolCallDelta(index=self._calls - 1, arguments=_whole_characters(arguments)))

    def calls(self, calls: Sequence[tuple[str, str]], raw: str) -> None:
        """Complete calls that were written together."""
        unknown = [name for name, _ in calls if name not in self.tools]
        for name, arguments in calls:
            if name not in unknown:
                self.call(name, arguments, raw)
        for name in unknown[1:]:
            self._unknown(name, "")
        if unknown:
            self._unknown(unknown[0], raw)

    def stream_call(self, name: str) -> bool:
        """Begin a call whose arguments follow in fragments, if that may be; else it is to be given whole."""
        wanted = name in self.tools and self.request.stream and (self.request.parallel or not self._calls)
        if wanted:
            self._begin(name)
        return wanted

    def fragment(self, arguments: str) -> None:
        """Some more of the arguments of the call that was begun last."""
        if arguments:
            self._deltas.append(ToolCallDelta(index=self._calls - 1, arguments=arguments))

    def malformed(self, raw: str, reason: str) -> None:
        """What looked like a call and is none: text."""
        self.warn(f"{reason}; it is left in the text")
        self.text(raw)
        self._spoiled = True

    def warn(self, warning: str) -> None:
        """Tell it once."""
        if warning not in self._told:
            self._told.add(warning)
            self._warnings.append(warning)

    def take(self) -> Parsed:
        """Everything since the last time."""
        for tag in (*self._text.stray_tags(), *self._reasoning.stray_tags()):
            self.warn(f"{tag!r} stood where it means nothing, and was taken out of the text")
        deltas, self._deltas = self._deltas, []
        warnings, self._warnings = self._warnings, []
        return Parsed(
            text=self._text.take(), reasoning=self._reasoning.take(), tool_calls=tuple(deltas), warnings=tuple(warnings)
        )

    def finish(self) -> Parsed:
        """The rest."""
        self._reasoning.end()
        self._text.end()
        if self._text.broken_tag:
            self.warn(f"the answer ends in {self._text.broken_tag!r}, where a tag may begin; it is left in the text")
        return self.take()

    def _unknown(self, name: str, raw: str) -> None:
        self.malformed(raw, f"the model called {quoted(name)}, which is none of the tools of this request")

    def _allowed(self) -> bool:
        if self._calls and not self.request.parallel:
            self._edge()
            self.warn("further calls were dropped: parallel_tool_calls is false")
            return False
        return True

    def _edge(self) -> None:
        self._text.turn()
        self._reasoning.turn()

    def _begin(self, name: str) -> None:
        self._edge()
        self._deltas.append(ToolCallDelta(index=self._calls, id=f"call_{secrets.token_hex(12)}", name=name))
        self._calls += 1


def schemas_of(tools: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The parameters of each tool, by its name."""
    functions = (tool.get("function", {}) for tool in tools)
    return {function["name"]: _schema(function.get("parameters")) for function in functions if function.get("name")}


def _schema(parameters: Any) -> Mapping[str, Any]:
    return parameters if isinstance(parameters, Mapping) else {}


def _whole_characters(text: str) -> str:
    """The same text as UTF-8 can be made of it: halves of characters, which escapes can write, joined or replaced."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def quoted(text: str) -> str:
    """A name as a warning shows it."""
    return repr(text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}…")
