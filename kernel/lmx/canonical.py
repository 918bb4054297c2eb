"""Brings prompts into a form that stays the same from one request to the next, so that prefix caches hit.

A prefix cache can only help as far as two prompts begin alike. Some agents list their tools in a new order each time,
or begin their instructions with a line that is new in every request: a checksum, the time of day. What comes after it
is then never found again.
"""

import re
from collections.abc import Callable, Sequence

from attrs import evolve, frozen

from lmx_hookspecs import GenerationRequest, Message

INSTRUCTIONS = frozenset({"system", "developer"})
BEHIND = frozenset({"user", "tool"})
"""Whose message may be given the lines: with agents the newest is as often a tool's result."""
LONGEST_SHOWN = 60


@frozen
class Canonicaliser:
    """What is changed in a request; with no rules and no sorting, nothing."""

    sort_tools: bool = False
    volatile: Sequence[re.Pattern[str]] = ()
    """A line of the instructions that one of these matches as a whole moves to the end of the newest message."""

    def apply(self, request: GenerationRequest) -> tuple[GenerationRequest, list[str]]:
        """The request in its canonical form, and a line about each change."""
        notes: list[str] = []
        if self.sort_tools:
            request = _with_sorted_tools(request, notes)
        if self.volatile and request.messages is not None:
            request = evolve(request, messages=_moved(request.messages, self._is_volatile, notes))
        return request, notes

    def _is_volatile(self, line: str) -> bool:
        return any(pattern.fullmatch(line.strip()) for pattern in self.volatile)


def _with_sorted_tools(request: GenerationRequest, notes: list[str]) -> GenerationRequest:
    tools = sorted(request.tools, key=lambda tool: str(tool["function"]["name"]))
    if tools == list(request.tools):
        return request
    notes.append("prompts.canonicalise put the tools in order of their names")
    return evolve(request, tools=tools)


def _moved(messages: Sequence[Message], is_volatile: Callable[[str], bool], notes: list[str]) -> Sequence[Message]:
    newest = messages[-1]
    if newest.role not in BEHIND or not newest.content:
        return messages  # there is no place behind the instructions, or the model would go on behind the lines
    moved: list[str] = []
    kept = [_without(message, is_volatile, moved) for message in messages[:-1]]
    if not moved:
        return messages
    notes.extend(f"prompts.canonicalise moved {_shown(line)} to the newest message" for line in moved)
    pairs = zip(messages, kept, strict=False)
    return [*(now for before, now in pairs if now is before or now.content), _with(newest, moved)]


def _without(message: Message, is_volatile: Callable[[str], bool], moved: list[str]) -> Message:
    if message.role not in INSTRUCTIONS or not isinstance(message.content, str):
        return message
    lines = message.content.splitlines(keepends=True)
    found = [line for line in lines if is_volatile(line)]
    if not found:
        return message
    moved.extend(line.strip() for line in found)
    return evolve(message, content="".join(line for line in lines if not is_volatile(line)).strip("\n"))


def _with(newest: Message, lines: Sequence[str]) -> Message:
    added = "\n\n" + "\n".join(lines)
    if isinstance(newest.content, str):
        return evolve(newest, content=newest.content + added)
    return evolve(newest, content=[*(newest.content or ()), {"type": "text", "text": added}])


def _shown(line: str) -> str:
    return repr(line if len(line) <= LONGEST_SHOWN else f"{line[:LONGEST_SHOWN]}…")
