"""Content blocks on their way to the model: texts, calls, results and thoughts of earlier turns."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field

from lmx_anthropic.requests import Blocks, WireMessage
from lmx_hookspecs import Message
from lmx_hookspecs.errors import InvalidRequest, UnsupportedParameter

APART = "\n\n"
"""What stands between two texts of one turn: the blocks say that they are not one."""
FAILED = "Error: "
"""Before a result with `is_error`: templates have no other place to say so."""
LONGEST_TYPE = 64


def instructions(system: str | Blocks | None) -> Sequence[Message]:
    """The system message, where there is one."""
    if system is None:
        return ()
    text = system if isinstance(system, str) else texts(system, "system")
    return (Message(role="system", content=text),) if text else ()


def chat(messages: Sequence[WireMessage]) -> Sequence[Message]:
    """The turns as templates know them; raises InvalidRequest, which names the block at fault."""
    calls = _Calls()
    made: list[Message] = []
    for index, message in enumerate(messages):
        place = f"messages[{index}].content"
        if message.role == "assistant":
            made.append(_assistant(message.content, place, calls))
        elif message.role == "system":
            made.extend(instructions(message.content))
        else:
            made.extend(_user(message.content, place, calls))
    if messages[-1].role == "assistant":
        raise UnsupportedParameter(
            "the last message is the assistant's, and answers that are begun are not supported; end with a message "
            "of the user",
            param=f"messages[{len(messages) - 1}]",
        )
    return made


def texts(blocks: Blocks, place: str) -> str:
    """Blocks of type text, as one; raises UnsupportedParameter for any other."""
    return APART.join(_text(block, f"{place}[{index}]") for index, block in enumerate(blocks))


@define
class _Turn:
    """What the blocks of an assistant's turn hold."""

    said: list[str] = field(factory=list)
    thought: list[str] = field(factory=list)
    calls: list[Mapping[str, Any]] = field(factory=list)

    def add(self, block: Mapping[str, Any], place: str) -> None:
        kind = block.get("type")
        if kind == "tool_use":
            self.calls.append(_call(block, place))
        elif kind == "thinking":
            self.thought.append(_string(block, "thinking", place))
        elif kind != "redacted_thinking":  # nobody here can read what that holds, and it is not for reading
            self.said.append(_text(block, place))

    def message(self) -> Message:
        return Message(
            role="assistant",
            content="".join(self.said) if self.said or not self.calls else None,
            tool_calls=tuple(self.calls),
            reasoning_content=APART.join(self.thought) if self.thought else None,
        )


@define
class _Calls:
    """The calls of a chat by their ids, which tell whose result a result is."""

    _made: set[str] = field(factory=set)
    _open: set[str] = field(factory=set)

    def make(self, call_id: str, place: str) -> None:
        """A call; raises InvalidRequest where its id is that of another."""
        if call_id in self._made:
            raise InvalidRequest(
                f"{place}.id is {call_id[:LONGEST_TYPE]!r}, as that of a call before it; give each tool_use an id of "
                "its own",
                param=f"{place}.id",
            )
        self._made.add(call_id)
        self._open.add(call_id)

    def answer(self, call_id: str, place: str) -> None:
        """The result of a call; raises InvalidRequest where none waits for it."""
        if call_id not in self._open:
            raise InvalidRequest(
                f"{place} answers the call {call_id[:LONGEST_TYPE]!r}, which no message before it makes, or which is "
                "answered already",
                param=f"{place}.tool_use_id",
            )
        self._open.discard(call_id)


def _assistant(content: str | Blocks, place: str, calls: _Calls) -> Message:
    if isinstance(content, str):
        return Message(role="assistant", content=content)
    turn = _Turn()
    for index, block in enumerate(content):
        turn.add(block, f"{place}[{index}]")
        if block.get("type") == "tool_use":
            calls.make(turn.calls[-1]["id"], f"{place}[{index}]")
    return turn.message()


def _user(content: str | Blocks, place: str, calls: _Calls) -> Sequence[Message]:
    """Results of tools first, each a message of its own, then what the user says."""
    if isinstance(content, str):
        return (Message(role="user", content=content),)
    if not content:
        raise InvalidRequest(f"{place} needs at least one block", param=place)
    results = [block for block in content if block.get("type") == "tool_result"]
    if any(block.get("type") == "tool_result" for block in content[len(results) :]):
        raise InvalidRequest(f"{place}: blocks of type tool_result come before all others", param=place)
    answers = [_result(block, f"{place}[{index}]", calls) for index, block in enumerate(results)]
    said = APART.join(_text(block, f"{place}[{index}]") for index, block in enumerate(content) if index >= len(results))
    return [*answers, Message(role="user", content=said)] if len(content) > len(results) else answers


def _result(block: Mapping[str, Any], place: str, calls: _Calls) -> Message:
    call = _string(block, "tool_use_id", place)
    calls.answer(call, place)
    content = block.get("content")
    if isinstance(content, Sequence) and not isinstance(content, str):
        parts = [_object(part, f"{place}.content[{at}]") for at, part in enumerate(content)]
        content = texts(parts, f"{place}.content")
    if not isinstance(content, str | None):
        raise InvalidRequest(f"{place}.content must be a text or a list of blocks", param=f"{place}.content")
    failed = block.get("is_error")
    if failed not in (None, True, False):
        raise InvalidRequest(f"{place}.is_error must be true or false", param=f"{place}.is_error")
    return Message(role="tool", content=(FAILED if failed else "") + (content or ""), tool_call_id=call)


def _call(block: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    call_id, name, given = _string(block, "id", place), _string(block, "name", place), block.get("input")
    if not call_id or not name:
        raise InvalidRequest(f"{place} needs an id and a name", param=place)
    if not isinstance(given, Mapping):
        raise InvalidRequest(f"{place}.input must be an object", param=f"{place}.input")
    arguments = json.dumps(given, ensure_ascii=False)
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _text(block: Mapping[str, Any], place: str) -> str:
    if block.get("type") != "text":
        kind = str(block.get("type"))[:LONGEST_TYPE]
        raise UnsupportedParameter(
            f"{place}: blocks of type {kind!r} are not supported here; send blocks of type text", param=place
        )
    return _string(block, "text", place)


def _string(block: Mapping[str, Any], name: str, place: str) -> str:
    value = block.get(name)
    if not isinstance(value, str):
        raise InvalidRequest(f"{place}.{name} must be a text", param=f"{place}.{name}")
    return value


def _object(part: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(part, Mapping):
        raise InvalidRequest(f"{place} must be an object with a type", param=place)
    return part
