"""A call written as one JSON object: `{"name": …, "arguments": {…}}`, read as it comes."""

import json
from collections.abc import Callable

from attrs import define, field

from lmx_dialects.json_stream import SPACE, JsonStream, object_text
from lmx_dialects.sink import Sink

ARGUMENTS = ("arguments", "parameters")
KEYS = frozenset({*ARGUMENTS, "name", "type", "function", "id"})
"""What a call is made of; an object with another key is no call, where nothing else says that it is one."""


class NotACall(ValueError):
    """Says what is wrong with it, as the end of a sentence about a call."""


@define(eq=False)
class CallObject:
    """Reads up to the closing brace. Its arguments go out at once where the name comes first and may be called."""

    _sink: Sink
    _strict: bool = False
    """Whether an unknown key makes it anything but a call."""
    complete: bool = field(default=False, init=False)
    broken: bool = field(default=False, init=False)
    streaming: bool = field(default=False, init=False)
    """Whether the client has begun to get it."""
    _values: dict[str, list[str]] = field(factory=dict, init=False)
    _key: list[str] = field(factory=list, init=False)
    _value: JsonStream = field(factory=JsonStream, init=False)
    _live: bool = field(default=False, init=False)
    """Whether the value in progress is on its way to the client."""
    _step: Callable[[str, int], int] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._step = self._open

    def feed(self, text: str, at: int = 0) -> int:
        """Read on from there; returns where the object ends or stops being one."""
        while at < len(text) and not (self.complete or self.broken):
            if text[at] in SPACE and self._step not in (self._in_key, self._in_value):
                at += 1
            else:
                at = self._step(text, at)
        return at

    def call(self) -> tuple[str, str]:
        """Name and arguments of a complete one; raises NotACall."""
        try:
            return call_of({key: "".join(parts) for key, parts in self._values.items()})
        except NotACall:
            raise
        except (ValueError, RecursionError) as error:  # such as whole numbers of more digits than Python reads
            raise NotACall("holds values that cannot be read") from error

    def _open(self, text: str, at: int) -> int:
        return self._expect("{", text, at, self._key_or_end)

    def _key_or_end(self, text: str, at: int) -> int:
        if text[at] == "}":
            self.complete = True
            return at + 1
        return self._key_begins(text, at)

    def _key_begins(self, text: str, at: int) -> int:
        if text[at] != '"':
            self.broken = True
            return at
        self._key, self._value, self._step = [], JsonStream(), self._in_key
        return at

    def _in_key(self, text: str, at: int) -> int:
        written, at = self._value.feed(text, at)
        self._key.append(written)
        self.broken = self._value.broken
        if self._value.complete:
            self._step = self._colon
            self.broken = self._strict and self._name_of_key() not in KEYS
        return at

    def _colon(self, text: str, at: int) -> int:
        return self._expect(":", text, at, self._value_begins)

    def _value_begins(self, text: str, at: int) -> int:
        key = self._name_of_key()
        if self.streaming and key in (*ARGUMENTS, "name"):
            self.broken = True  # the client has had the ones before
            return at
        self._live = key in ARGUMENTS and text[at] == "{" and self._may_stream()
        self.streaming = self.streaming or self._live
        self._values[key] = []
        self._value, self._step = JsonStream(), self._in_value
        return at

    def _in_value(self, text: str, at: int) -> int:
        written, at = self._value.feed(text, at)
        if self._live:
            self._sink.fragment(written)
        else:
            self._values[self._name_of_key()].append(written)
        self.broken = self._value.broken
        if self._value.complete:
            self._step = self._next
        return at

    def _next(self, text: str, at: int) -> int:
        if text[at] == "}":
            self.complete = True
            return at + 1
        return self._expect(",", text, at, self._key_begins)

    def _expect(self, char: str, text: str, at: int, then: Callable[[str, int], int]) -> int:
        self.broken = text[at] != char
        self._step = then
        return at if self.broken else at + 1

    def _name_of_key(self) -> str:
        return str(json.loads("".join(self._key)))

    def _may_stream(self) -> bool:
        name = "".join(self._values.get("name", ()))
        return name.startswith('"') and self._sink.stream_call(json.loads(name))


def call_of(values: dict[str, str]) -> tuple[str, str]:
    """Name and arguments, from the JSON text of each key; raises NotACall."""
    function = values.get("function", "")
    if function.startswith("{"):
        values = {key: json.dumps(value) for key, value in json.loads(function).items()}
    name = json.loads(values.get("name") or (function if function.startswith('"') else "null"))
    if not isinstance(name, str):
        raise NotACall("has no name")
    written = next((values[key] for key in ARGUMENTS if key in values), "{}")
    if written.startswith('"'):
        written = json.loads(written)
    arguments = object_text("{}" if written.strip() in ("", "null") else written)
    if arguments is None:
        raise NotACall("has arguments that are no JSON object")
    return name, arguments
