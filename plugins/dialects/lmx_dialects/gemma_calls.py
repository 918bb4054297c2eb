"""Bodies of Gemma's calls: `call:name{key:value,…}`, with a quote of its own around strings."""

import re
from collections.abc import Mapping, Sequence

from attrs import define

from lmx_dialects.call_object import NotACall
from lmx_dialects.json_stream import MAX_DEPTH
from lmx_dialects.tagged_calls import Call, Schemas
from lmx_dialects.typed import plain_json, properties_of, typed, written_object

_HEAD = re.compile(r"[\s,;]*call:([\w.\-]+)\s*(?=\{)")
_KEY = re.compile(r'\s*(?:"([^"]*)"|([^\s:{}\[\],]+))\s*:\s*')
_BARE = re.compile(r"[^,{}\[\]]*")
_SPACE = re.compile(r"\s*")


def gemma_calls(body: str, schemas: Schemas) -> Sequence[Call]:
    """Gemma 4, whose strings stand between `<|"|>`."""
    return _calls(body, schemas, '<|"|>')


def function_gemma_calls(body: str, schemas: Schemas) -> Sequence[Call]:
    """FunctionGemma, whose strings stand between `<escape>`."""
    return _calls(body, schemas, "<escape>")


def _calls(body: str, schemas: Schemas, quote: str) -> Sequence[Call]:
    calls, at = [], 0
    while match := _HEAD.match(body, at):
        reader = _Reader(body, quote, match.end())
        calls.append((match.group(1), reader.members(properties_of(schemas.get(match.group(1), {})))))
        at = reader.at
    if not calls or body[at:].strip():
        raise NotACall("does not have the form of one")
    return calls


@define(eq=False)
class _Reader:
    """Reads one value after another; raises NotACall."""

    text: str
    quote: str
    at: int
    depth: int = 0

    def members(self, properties: Mapping[str, object] | None = None) -> str:
        """From an opening to its closing brace."""
        members: dict[str, str] = {}
        self._enter("{")
        while not self._leaves("}"):
            key = _KEY.match(self.text, self.at)
            if not key:
                raise NotACall("has an argument without a name")
            self.at = key.end()
            bare = (key.group(2) or "").removeprefix(self.quote).removesuffix(self.quote)
            name = bare if key.group(1) is None else key.group(1)
            members[name] = self._value((properties or {}).get(name))
        return written_object(members)

    def _list(self) -> str:
        items = []
        self._enter("[")
        while not self._leaves("]"):
            items.append(self._value(None))
        return "[" + ", ".join(items) + "]"

    def _value(self, schema: object) -> str:
        written = self._one_value(schema)
        self._skip()
        if self.text.startswith(",", self.at):
            self.at += 1
        elif not self.text.startswith(("}", "]"), self.at):
            raise NotACall("has values with nothing between them")
        return written

    def _one_value(self, schema: object) -> str:
        self._skip()
        if self.text.startswith(self.quote, self.at):
            return plain_json(self._string())
        char = self.text[self.at : self.at + 1]
        if char == "{":
            return self.members()
        if char == "[":
            return self._list()
        match = _BARE.match(self.text, self.at)
        bare = match.group().strip() if match else ""
        self.at = match.end() if match else self.at
        return typed(bare, schema or {"type": ["integer", "number", "boolean", "null", "string"]}, {})

    def _string(self) -> str:
        begin = self.at + len(self.quote)
        end = self.text.find(self.quote, begin)
        if end < 0:
            raise NotACall("has a string without an end")
        self.at = end + len(self.quote)
        return self.text[begin:end]

    def _enter(self, char: str) -> None:
        self.depth += 1
        if not self.text.startswith(char, self.at) or self.depth > MAX_DEPTH:
            raise NotACall("does not have the form of one")
        self.at += 1

    def _leaves(self, char: str) -> bool:
        self._skip()
        if self.at >= len(self.text):
            raise NotACall("ends before it is complete")
        if self.text[self.at] != char:
            return False
        self.at += 1
        self.depth -= 1
        return True

    def _skip(self) -> None:
        match = _SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at
