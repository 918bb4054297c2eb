"""A grammar for calls that have to be made, from the way in which a dialect writes them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import define, field

from lmx_hookspecs.constraints import CallPart, CallSyntax, JsonValue, OneOf, Perhaps, TextUntil
from lmx_hookspecs.engines import Tokenizer
from lmx_hookspecs.functions import check_parameters, without_nulls

ANYTHING: Mapping[str, Any] = {"type": "object"}


def forced_calls(
    syntax: CallSyntax,
    tools: Sequence[Mapping[str, Any]],
    choice: str | Mapping[str, Any],
    tokenizer: Tokenizer,
    *,
    parallel: bool,
) -> str:
    """The grammar, in Lark's notation, of an answer that is one call or several of the tools that are chosen.

    Raises InvalidRequest for tools whose schemas are none.
    """
    check_tools(tools)
    wanted = None if isinstance(choice, str) else choice["function"]["name"]
    functions = [tool["function"] for tool in tools if wanted in (None, tool["function"]["name"])]
    rules = _Rules(_marks(tokenizer))
    written = [syntax.call(function["name"], _parameters(function)) for function in functions]
    calls = [rules.name(parts) for parts in written]
    between = rules.name([syntax.between]) if syntax.between else ""
    several = f" ({between} call)*" if parallel and syntax.several and wanted is None else ""
    begin, end = rules.written(syntax.begin), rules.written(syntax.end)
    return "\n".join([f"start: {begin} call{several} {end}", f"call: {' | '.join(calls)}", *rules.lines])


def check_tools(tools: Sequence[Mapping[str, Any]]) -> None:
    """Raises InvalidRequest, by the name of the field, for parameters that calls cannot be written by."""
    for place, tool in enumerate(tools):
        check_parameters(tool["function"].get("parameters"), f"tools[{place}].function.parameters")


def _parameters(function: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without what is null, which counts as left out."""
    told: Mapping[str, Any] = without_nulls(function.get("parameters") or ANYTHING)
    return told


@define
class _Rules:
    """Rules with made-up names."""

    _marks: Mapping[str, int]
    """Text of the tokens that stand for a mark, which no text of a grammar matches, the longest first."""
    lines: list[str] = field(factory=list, init=False)

    def name(self, parts: Sequence[CallPart]) -> str:
        """The name of a new rule for these parts."""
        body = " ".join(map(self._part, parts))
        name = f"r{len(self.lines)}"
        self.lines.append(f"{name}: {body}")
        return name

    def written(self, text: str) -> str:
        """Text in which marks stand for themselves."""
        return " ".join(self._split(text))

    def _part(self, part: CallPart) -> str:
        match part:
            case str():
                return self.written(part)
            case JsonValue():
                return self._rule(f"%json {json.dumps(part.schema)}")
            case TextUntil():
                return self._rule(_text(part), f"[suffix={json.dumps(part.end)}]")
            case OneOf():
                return self._rule(" | ".join(json.dumps(text) for text in part.texts))
            case Perhaps():
                return f"{self.name(part.parts)}?"

    def _rule(self, body: str, attributes: str = "") -> str:
        name = f"r{len(self.lines)}"
        self.lines.append(f"{name}{attributes}: {body}")
        return name

    def _split(self, text: str) -> Iterator[str]:
        while text:
            places = [(text.find(mark), -len(mark), mark) for mark in self._marks if mark in text]
            if not places:
                yield json.dumps(text)
                return
            place, _, mark = min(places)
            if place:
                yield json.dumps(text[:place])
            yield f"<[{self._marks[mark]}]>"
            text = text[place + len(mark) :]


def _text(part: TextUntil) -> str:
    bounded = part.least or part.most is not None
    return f"/(.|\\n){{{part.least},{'' if part.most is None else part.most}}}/" if bounded else "/(.|\\n)*/"


def _marks(tokenizer: Tokenizer) -> Mapping[str, int]:
    written = {token: tokenizer.token_bytes(token) for token in tokenizer.special_token_ids}
    return {text.decode(errors="replace"): token for token, text in written.items() if text}
