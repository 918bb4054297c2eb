"""One JSON value in a stream of text: strict in its grammar, written so that every JSON parser reads it."""

import json
import re
from collections.abc import Callable

from attrs import define, field

MAX_DEPTH = 200
"""Parsers of clients are recursive."""
SPACE = " \t\r\n"
_SPACE = re.compile(r"[ \t\r\n]*")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_SCALAR = re.compile(r"[-+.0-9A-Za-z]*")
_VALID_SCALAR = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false|null")
_HEX = frozenset("0123456789abcdefABCDEF")

_Step = Callable[[str, int], int]


@define(eq=False)
class JsonStream:
    """Follows a value from its first character on; control characters in strings, which models write, are escaped."""

    complete: bool = field(default=False, init=False)
    broken: bool = field(default=False, init=False)
    _stack: list[str] = field(factory=list, init=False)
    _out: list[str] = field(factory=list, init=False)
    _held: list[str] = field(factory=list, init=False)
    """A scalar or an escape that is not complete."""
    _hex_left: int = field(default=0, init=False)
    _is_key: bool = field(default=False, init=False)
    _step: _Step = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._step = self._value

    def feed(self, text: str, at: int = 0) -> tuple[str, int]:
        """The value's text from there on, as far as it is certain, and where it ends or stops being JSON."""
        while at < len(text) and not (self.complete or self.broken):
            at = self._step(text, at)
        out = "".join(self._out)
        self._out.clear()
        return out, at

    def _value(self, text: str, at: int) -> int:
        if at < (at := self._skip(text, at)):
            return at
        char = text[at]
        if char in "{[" and len(self._stack) < MAX_DEPTH:
            self._stack.append("}" if char == "{" else "]")
            self._step = self._key_or_end if char == "{" else self._value_or_end
            return self._give(char, at)
        if char == '"':
            self._is_key, self._step = False, self._string
            return self._give(char, at)
        if char.isascii() and (char.isalnum() or char == "-"):
            self._step = self._scalar
            return at
        return self._break(at)

    def _value_or_end(self, text: str, at: int) -> int:
        if at < (at := self._skip(text, at)):
            return at
        if text[at] == "]":
            return self._close(at)
        self._step = self._value
        return at

    def _key_or_end(self, text: str, at: int) -> int:
        if at < (at := self._skip(text, at)):
            return at
        return self._close(at) if text[at] == "}" else self._key(text, at)

    def _key(self, text: str, at: int) -> int:
        if at < (at := self._skip(text, at)):
            return at
        if text[at] != '"':
            return self._break(at)
        self._is_key, self._step = True, self._string
        return self._give('"', at)

    def _colon(self, text: str, at: int) -> int:
        if at < (at := self._skip(text, at)):
            return at
        if text[at] != ":":
            return self._break(at)
        self._step = self._value
        return self._give(":", at)

    def _after(self, text: str, at: int) -> int:
        if at < (at := self._skip(text, at)):
            return at
        if text[at] == self._stack[-1]:
            return self._close(at)
        if text[at] != ",":
            return self._break(at)
        self._step = self._key if self._stack[-1] == "}" else self._value
        return self._give(",", at)

    def _string(self, text: str, at: int) -> int:
        end = _end_of(_PLAIN, text, at)
        self._out.append(text[at:end])
        if end == len(text):
            return end
        char = text[end]
        if char == '"':
            self._out.append(char)
            if self._is_key:
                self._step = self._colon
            else:
                self._value_ends()
        elif char == "\\":
            self._step = self._escape
        else:
            self._out.append(json.dumps(char)[1:-1])
        return end + 1

    def _escape(self, text: str, at: int) -> int:
        char = text[at]
        if char in '"\\/bfnrt':
            self._step = self._string
            return self._give("\\" + char, at)
        if char != "u":
            return self._break(at)
        self._hex_left, self._step = 4, self._hex
        self._held.append("\\u")
        return at + 1

    def _hex(self, text: str, at: int) -> int:
        if text[at] not in _HEX:
            return self._break(at)
        self._held.append(text[at])
        self._hex_left -= 1
        if not self._hex_left:
            self._release()
            self._step = self._string
        return at + 1

    def _scalar(self, text: str, at: int) -> int:
        end = _end_of(_SCALAR, text, at)
        self._held.append(text[at:end])
        if end == len(text):
            return end
        if not _VALID_SCALAR.fullmatch("".join(self._held)):
            return self._break(end)
        self._release()
        self._value_ends()
        return end

    def _skip(self, text: str, at: int) -> int:
        end = _end_of(_SPACE, text, at)
        if end > at:
            self._out.append(text[at:end])
        return end

    def _give(self, out: str, at: int) -> int:
        self._out.append(out)
        return at + 1

    def _release(self) -> None:
        self._out += self._held
        self._held.clear()

    def _close(self, at: int) -> int:
        self._out.append(self._stack.pop())
        self._value_ends()
        return at + 1

    def _value_ends(self) -> None:
        self.complete = not self._stack
        self._step = self._after

    def _break(self, at: int) -> int:
        self.broken = True
        return at


def _end_of(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at


def object_text(text: str) -> str | None:
    """The text as one JSON object that every parser reads; None where it is anything else."""
    stream = JsonStream()
    written, end = stream.feed(text.strip())
    return written if stream.complete and written.startswith("{") and end == len(text.strip()) else None
