"""Chats as the templates of models see them, for engines that render with a tokenizer's own template."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.generation import Message


def template_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Plain mappings, with text as one string; raises InvalidRequest for content of another type."""
    return [_as_template_sees(message) for message in messages]


def _as_template_sees(message: Message) -> dict[str, Any]:
    seen: dict[str, Any] = {"role": message.role, "content": _text_of(message.content)}
    if message.name is not None:
        seen["name"] = message.name
    if message.reasoning_content is not None:
        seen["reasoning_content"] = message.reasoning_content
    if message.tool_calls:
        seen["tool_calls"] = [_with_parsed_arguments(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        seen["tool_call_id"] = message.tool_call_id
    return seen


def _text_of(content: str | Sequence[Mapping[str, Any]] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    others = sorted({str(part.get("type")) for part in content} - {"text"})
    if others:
        raise InvalidRequest(
            f"this model reads text only, not content of type {', '.join(others)}; leave it out", param="messages"
        )
    return "".join(str(part["text"]) for part in content)


def _with_parsed_arguments(call: Mapping[str, Any]) -> dict[str, Any]:
    """OpenAI sends arguments as JSON text; templates walk through them as a mapping."""
    function = dict(call.get("function", {}))
    try:
        parsed = json.loads(function.get("arguments") or "{}")
    except (TypeError, ValueError, RecursionError):
        return {**call, "function": function}
    if isinstance(parsed, dict):
        function["arguments"] = parsed
    return {**call, "function": function}
