"""Calls written as Python: `[name(key="value"), …]`."""

import ast
import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field

from lmx_dialects.call_object import NotACall
from lmx_dialects.modes import Mode
from lmx_dialects.sink import Sink
from lmx_dialects.tagged_calls import Call, Schemas
from lmx_dialects.typed import plain_json

MAX_SOURCE = 1 << 20
_JSON_NAMES: Mapping[str, Any] = {"true": True, "false": False, "null": None}
_BEGINNING = re.compile(r"\s*(?:\[\s*(?:[A-Za-z_][\w.]*\s*)?)?")
_CERTAIN = re.compile(r"\s*\[\s*[A-Za-z_][\w.]*\s*\(")
MAX_BEGINNING = 200
"""Characters within which a list of calls shows itself."""
_STOPS = re.compile(r"""["'\\()\[\]{}]""")
_CLOSES = {")": "(", "]": "[", "}": "{"}


def pythonic_calls(body: str, schemas: Schemas) -> Sequence[Call]:  # noqa: ARG001  the values have types of their own
    """A list of calls, or a single one; JSON's words for true, false and null are understood."""
    try:
        if len(body) > MAX_SOURCE:
            raise NotACall("is too long")
        tree = ast.parse(body.strip(), mode="eval").body
        nodes = tree.elts if isinstance(tree, ast.List) else [tree]
        calls = [_call(node) for node in nodes]
    except NotACall:
        raise
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise NotACall("is not a list of calls") from error
    if not calls:
        raise NotACall("is an empty list")
    return calls


def _call(node: ast.expr) -> Call:
    if not isinstance(node, ast.Call) or node.args or any(keyword.arg is None for keyword in node.keywords):
        raise NotACall("is not a call with named arguments")
    return _name(node.func), plain_json({str(keyword.arg): _literal(keyword.value) for keyword in node.keywords})


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value)}.{node.attr}"
    if isinstance(node, ast.Name):
        return node.id
    raise NotACall("names no function")


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Name) and node.id in _JSON_NAMES:
        return _JSON_NAMES[node.id]
    if isinstance(node, ast.Dict):
        return {_literal(key): _literal(value) for key, value in zip(node.keys, node.values, strict=True) if key}
    if isinstance(node, ast.List | ast.Tuple):
        return [_literal(item) for item in node.elts]
    return ast.literal_eval(node)


@define(eq=False)
class BarePythonic:
    """An answer that begins like a list of calls, and may be one: nothing else tells it from text."""

    _sink: Sink
    _home: Mode
    _raw: list[str] = field(factory=list, init=False)
    _beginning: str = field(default="", init=False)
    _certain: bool = field(default=False, init=False)
    _open: list[str] = field(factory=list, init=False)
    _quote: str = field(default="", init=False)
    _escaped: bool = field(default=False, init=False)

    def feed(self, text: str) -> tuple[Mode, str]:
        """Collect up to the bracket that closes the list."""
        if not self._certain:
            text, self._beginning = self._beginning + text, ""
            self._certain = bool(_CERTAIN.match(text[:MAX_BEGINNING]))
        if not self._certain:
            if len(text) >= MAX_BEGINNING or not _BEGINNING.fullmatch(text):
                return self._home, text
            self._beginning = text
            return self, ""
        end = self._scan(text)
        self._raw.append(text[:end])
        return (self, "") if self._open else self._complete(text[end:])

    def finish(self) -> None:
        """A list without an end is text."""
        raw = "".join(self._raw) if self._certain else self._beginning
        if self._certain:
            self._sink.malformed(raw, "a list of calls ends before it is complete")
        else:
            self._sink.text(raw)
        self._home.finish()

    def _complete(self, rest: str) -> tuple[Mode, str]:
        raw = "".join(self._raw)
        try:
            calls = pythonic_calls(raw, self._sink.tools)
        except NotACall:
            self._sink.text(raw)
        else:
            self._sink.calls(calls, raw)
        return self._home, rest

    def _scan(self, text: str) -> int:
        """Where the list ends in this text."""
        at = 0
        while at < len(text):
            if self._escaped:
                self._escaped = False
                at += 1
                continue
            match = _STOPS.search(text, at)
            if not match:
                return len(text)
            at = match.end()
            if self._takes(match.group()):
                return at
        return at

    def _takes(self, char: str) -> bool:
        """Whether this character closes the list."""
        if self._quote:
            self._escaped = char == "\\"
            self._quote = "" if char == self._quote else self._quote
        elif char in "\"'":
            self._quote = char
        elif char in "([{":
            self._open.append(char)
        elif char in _CLOSES and self._open:
            self._open.pop()
            return not self._open
        return False
