"""Whole answers, gathered from the pieces of a generation."""

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from attrs import define, field

from lmx_anthropic import thoughts
from lmx_anthropic.usage import plain_usage, stop_reason, unfinished
from lmx_hookspecs import Generation, Piece, ToolCallDelta, Usage
from lmx_hookspecs.generation import FinishReason

HEADER_SAFE = "!#$&'()*+,/:;=?@[]^`{|}~ "
"""What stands in a header as it is, beside letters, digits and `_.-`; the rest of a model's name is percent-encoded."""


def new_id() -> str:
    """Of a message."""
    return f"msg_{secrets.token_urlsafe(16)}"


def headers(generation: Generation, request_id: str) -> Mapping[str, str]:
    """The request's id by the name that clients look for, and who answers."""
    return {"request-id": request_id, "X-LMX-Served-By": quote(generation.served_by, safe=HEADER_SAFE)}


@define
class Call:
    """A call of a tool, as far as it has come."""

    id: str | None = None
    name: str | None = None
    arguments: str = ""

    def add(self, delta: ToolCallDelta) -> None:
        """Take in a fragment."""
        self.id, self.name = self.id or delta.id, self.name or delta.name
        self.arguments += delta.arguments

    def block(self, warnings: list[str]) -> Mapping[str, Any]:
        """The call; where the answer ended within its arguments, without them, and with a warning that has them."""
        try:
            given = json.loads(self.arguments or "{}")
        except ValueError:
            given = None
        if not isinstance(given, dict):
            warnings.append(f"the call of {self.name!r} is incomplete; its arguments begin {self.arguments!r}")
            given = {}
        return {"type": "tool_use", "id": self.id, "name": self.name, "input": given}


@define
class Gathered:
    """Everything that has come so far."""

    texts: list[str] = field(factory=list)
    thought: list[str] = field(factory=list)
    calls: dict[int, Call] = field(factory=dict)
    finish_reason: FinishReason | None = None
    stop: str | None = None
    usage: Usage | None = None

    def add(self, piece: Piece) -> None:
        """Take in a piece."""
        self.texts.append(piece.text)
        self.thought.append(piece.reasoning)
        for delta in piece.tool_calls:
            self.calls.setdefault(delta.index, Call()).add(delta)
        self.finish_reason = piece.finish_reason or self.finish_reason
        self.stop = piece.stop or self.stop
        self.usage = piece.usage or self.usage

    def content(self, warnings: list[str], *, shown: bool) -> Sequence[Mapping[str, Any]]:
        """Its blocks: the thought, whose text may have to stay here, the text, and the calls."""
        thought, text = "".join(self.thought), "".join(self.texts)
        blocks: list[Mapping[str, Any]] = []
        if thought:
            blocks.append(_thinking(thought, shown=shown))
        if text:
            blocks.append({"type": "text", "text": text})
        return [*blocks, *(self.calls[place].block(warnings) for place in sorted(self.calls))]

    def message(self, model: str, warnings: Iterable[str], *, shown: bool) -> dict[str, Any]:
        """The answer; raises EngineFailed where the engine stopped before the end."""
        if self.usage is None or self.finish_reason is None:
            raise unfinished()
        told = list(warnings)
        content = self.content(told, shown=shown)
        reason = stop_reason(self.finish_reason, self.stop, called=bool(self.calls))
        body = {
            "id": new_id(),
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": content,
            "stop_reason": reason,
            "stop_sequence": self.stop if reason == "stop_sequence" else None,
            "usage": plain_usage(self.usage),
        }
        return {**body, "warnings": told} if told else body


async def gather(generation: Generation) -> Gathered:
    """All pieces."""
    gathered = Gathered()
    try:
        async for piece in generation:
            gathered.add(piece)
    finally:
        await generation.aclose()
    return gathered


def _thinking(thought: str, *, shown: bool) -> Mapping[str, Any]:
    signed = thoughts.begun()
    signed.update(thought.encode("utf-8", "replace"))
    return {"type": "thinking", "thinking": thought if shown else "", "signature": thoughts.signature(signed)}
