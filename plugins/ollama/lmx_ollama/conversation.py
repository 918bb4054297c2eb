"""Messages: Ollama's calls of tools have no ids, and results name the tool that they come from."""

import json
from collections.abc import Sequence

from lmx_hookspecs.errors import InvalidRequest, UnsupportedParameter
from lmx_hookspecs.generation import Message
from lmx_ollama.requests import ChatMessage

OpenCalls = list[tuple[str, str]]
"""Id and function of the calls that have no result yet, oldest first."""


def conversation(messages: Sequence[ChatMessage]) -> Sequence[Message]:
    """The same messages with calls and results tied by ids; raises InvalidRequest for a result without its call."""
    opened: OpenCalls = []
    return [_message(message, place, opened) for place, message in enumerate(messages)]


def _message(message: ChatMessage, place: int, opened: OpenCalls) -> Message:
    if message.images:
        raise UnsupportedParameter(
            f"messages[{place}].images are not supported: the models here read text only",
            param=f"messages[{place}].images",
        )
    if message.tool_calls and message.role != "assistant":
        raise InvalidRequest(f"messages[{place}].tool_calls belong to the assistant", param=f"messages[{place}]")
    calls = []
    for number, call in enumerate(message.tool_calls or ()):
        call_id = call.id or f"call_{place}_{number}"
        opened.append((call_id, call.function.name))
        arguments = json.dumps(call.function.arguments)
        function = {"name": call.function.name, "arguments": arguments}
        calls.append({"id": call_id, "type": "function", "function": function})
    return Message(
        role=message.role,
        content=message.content or ("" if not calls else None),
        reasoning_content=message.thinking,
        tool_calls=tuple(calls),
        tool_call_id=_answered(message, place, opened) if message.role == "tool" else None,
    )


def _answered(message: ChatMessage, place: int, opened: OpenCalls) -> str:
    """The call that a result belongs to: by its id, else the oldest of that tool, else the oldest of all."""
    name = message.tool_name or message.name
    for call_id, function in opened:
        wanted = call_id == message.tool_call_id if message.tool_call_id else name in (None, function)
        if wanted:
            opened.remove((call_id, function))
            return call_id
    raise InvalidRequest(
        f"messages[{place}] is the result of {name or message.tool_call_id or 'a tool'!r}, which no message before it "
        "calls",
        param=f"messages[{place}]",
    )
