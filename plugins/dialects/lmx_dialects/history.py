"""Earlier calls as some templates want them: with ids of a kind that the model itself would write."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import evolve

from lmx_hookspecs import Message

MISTRAL_ID_CHARS = 9


def kimi_history(messages: Sequence[Message]) -> Sequence[Message]:
    """`functions.<name>:<n>`, counted through the whole chat: with other ids Kimi K2 stops calling."""
    return _renamed(messages, lambda call, place: f"functions.{call.get('function', {}).get('name')}:{place}")


def mistral_history(messages: Sequence[Message]) -> Sequence[Message]:
    """Nine letters and digits: the templates refuse anything else."""
    return _renamed(messages, lambda call, _: _short(str(call.get("id", ""))))


def _renamed(messages: Sequence[Message], name: Callable[[Mapping[str, Any], int], str]) -> Sequence[Message]:
    names: dict[str, str] = {}
    out = []
    place = 0
    for message in messages:
        calls = []
        for call in message.tool_calls:
            renamed = names[str(call.get("id"))] = name(call, place)
            calls.append({**call, "id": renamed})
            place += 1
        answered = message.tool_call_id and names.get(message.tool_call_id, message.tool_call_id)
        out.append(evolve(message, tool_calls=tuple(calls), tool_call_id=answered))
    return out


def _short(call_id: str) -> str:
    fits = len(call_id) == MISTRAL_ID_CHARS and call_id.isascii() and call_id.isalnum()
    return call_id if fits else hashlib.sha256(call_id.encode(errors="replace")).hexdigest()[:MISTRAL_ID_CHARS]
