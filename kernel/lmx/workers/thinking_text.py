"""Reading an answer that was bound to something: what is behind its reasoning is text, whatever tags it may hold."""

from attrs import define, field

from lmx.workers.gate import Thinking
from lmx_hookspecs.constraints import Parsed


@define(eq=False)
class ThinkingText:
    """A DialectParser for reasoning at the beginning, if there is any, and then text as it is."""

    _thinking: Thinking
    _at_start: bool = field(init=False)
    """Whether it is not clear yet if the answer reasons."""
    _inside: bool = field(init=False)
    _begun: bool = field(default=False, init=False)
    """Whether some of the reasoning, or of the text behind it, is told: white space before it belongs to a tag."""
    _held: str = field(default="", init=False)

    def __attrs_post_init__(self) -> None:
        self._inside = self._thinking.begun
        self._at_start = not self._inside

    def feed(self, text: str) -> Parsed:
        """What is certain so far."""
        self._held += text
        if self._at_start and not self._starts():
            return Parsed()
        return self._reasoning() if self._inside else Parsed(text=self._told())

    def finish(self) -> Parsed:
        """What was held back."""
        held, self._held = self._held, ""
        return Parsed(reasoning=held.rstrip()) if self._inside else Parsed(text=held)

    def _starts(self) -> bool:
        """Whether the first characters tell with what the answer begins."""
        tag, first = self._thinking.begins, self._held.lstrip()
        if len(first) < len(tag) and tag.startswith(first):
            return False
        self._at_start = False
        if first.startswith(tag):
            self._inside, self._held = True, first[len(tag) :]
        else:
            self._begun = True
        return True

    def _reasoning(self) -> Parsed:
        before, tag, behind = self._held.partition(self._thinking.ends)
        if tag:
            reasoning = before.rstrip() if self._begun else before.strip()
            self._inside, self._begun, self._held = False, False, behind
            return Parsed(reasoning=reasoning, text=self._told())
        return Parsed(reasoning=self._told(self._open_end()))

    def _told(self, open_end: int = 0) -> str:
        """What is held but for so many characters at its end, without white space at its beginning."""
        if not self._begun:
            self._held = self._held.lstrip()
        certain = max(0, len(self._held) - open_end)
        told, self._held = self._held[:certain], self._held[certain:]
        self._begun = self._begun or bool(told)
        return told

    def _open_end(self) -> int:
        """Characters at the end that may belong to the tag, or to the white space before it."""
        tag = self._thinking.ends
        part = next((n for n in range(min(len(tag) - 1, len(self._held)), 0, -1) if self._held.endswith(tag[:n])), 0)
        before = self._held[: len(self._held) - part]
        return part + len(before) - len(before.rstrip())
