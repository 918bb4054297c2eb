"""Server-sent chunks. The constant part of a chunk is made once; a piece of text costs one JSON string."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from attrs import define, field

from lmx_hookspecs import Generation, Piece, ToolCallDelta, Usage
from lmx_openai.gather import Identity, plain_usage, unfinished, warned
from lmx_openai.logprobs import ChatLogprobs, LegacyLogprobs, LogprobsEncoder

DONE = b"data: [DONE]\n\n"
PING = b": ping\n\n"
TEXT = "\x00"
"""Marks where the text stands in a template; JSON escapes it, so it occurs nowhere else."""


def event(body: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"


class Shape(Protocol):
    """What differs between the chunks of chats and those of completions."""

    object: str
    opening: Mapping[str, Any] | None
    """The choice fields of the chunk before the first text, where there is one."""
    closing: Mapping[str, Any]
    """The choice fields of the chunk with the finish reason."""

    def text(self, text: str) -> Mapping[str, Any]:
        """The choice fields of a chunk that only brings text."""

    def piece(self, piece: Piece) -> Mapping[str, Any] | None:
        """The choice fields of a chunk with whatever the piece brings; None if it brings nothing."""

    def logprobs(self) -> LogprobsEncoder:
        """The encoder of one choice."""


@define
class ChatShape:
    """`delta` objects."""

    object: str = "chat.completion.chunk"
    opening: Mapping[str, Any] | None = field(factory=lambda: {"delta": {"role": "assistant", "content": ""}})
    closing: Mapping[str, Any] = field(factory=lambda: {"delta": {}})

    def text(self, text: str) -> Mapping[str, Any]:
        """Only content."""
        return {"delta": {"content": text}}

    def piece(self, piece: Piece) -> Mapping[str, Any] | None:
        """Content, reasoning and tool calls, as far as they are there."""
        delta: dict[str, Any] = {}
        if piece.reasoning:
            delta["reasoning_content"] = piece.reasoning
        if piece.text:
            delta["content"] = piece.text
        if piece.tool_calls:
            delta["tool_calls"] = _calls(piece.tool_calls)
        return {"delta": delta} if delta or piece.logprobs else None

    def logprobs(self) -> LogprobsEncoder:
        """Entries per token."""
        return ChatLogprobs()


@define
class CompletionShape:
    """`text` fields."""

    object: str = "text_completion"
    opening: Mapping[str, Any] | None = None
    closing: Mapping[str, Any] = field(factory=lambda: {"text": ""})

    def text(self, text: str) -> Mapping[str, Any]:
        """Only text."""
        return {"text": text}

    def piece(self, piece: Piece) -> Mapping[str, Any] | None:
        """Only text, too."""
        return {"text": piece.text} if piece.text or piece.logprobs else None

    def logprobs(self) -> LogprobsEncoder:
        """Parallel lists."""
        return LegacyLogprobs()


@define(eq=False)
class ChunkEncoder:
    """Turns the pieces of one generation into bytes."""

    _identity: Identity
    _shape: Shape
    _generation: Generation
    _choices: int
    _include_usage: bool
    _warnings: Sequence[str]
    """What the surface itself has dropped."""
    _templates: Sequence[tuple[bytes, bytes]] = ()
    """Made while the engine reads the prompt, and again where another model takes over before the first piece."""
    _template_model: str | None = None
    _logprobs: Sequence[LogprobsEncoder] = field(init=False)
    _running: set[int] = field(init=False)
    _usage: Usage | None = None
    _begun: bool = False
    _warned: bool = False

    def __attrs_post_init__(self) -> None:
        self._logprobs = [self._shape.logprobs() for _ in range(self._choices)]
        self._running = set(range(self._choices))
        self._make_templates()

    def piece(self, piece: Piece) -> bytes:
        """The chunks that a piece becomes; often one, sometimes none."""
        opening = self._opening()
        if piece.text and not _is_rich(piece):
            before, after = self._templates[piece.index]
            return opening + before + json.dumps(piece.text).encode() + after
        return opening + self._content(piece) + self._finish(piece)

    def ping(self) -> bytes:
        """A comment, which fills silence."""
        return PING

    def end(self) -> bytes:
        """What follows the last piece; raises EngineFailed where that was not the last one."""
        if self._usage is None or self._running:
            raise unfinished()
        body = {**self._head(), "choices": []}
        if self._include_usage:
            return event(self._with_warnings({**body, "usage": plain_usage(self._usage)})) + DONE
        if self._generation.warnings and not self._warned:
            return event(self._with_warnings(body)) + DONE
        return DONE

    def _opening(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        self._make_templates()
        opening = self._shape.opening
        if opening is None:
            return b""
        return b"".join(event(self._chunk(index, opening)) for index in range(self._choices))

    def _make_templates(self) -> None:
        if self._template_model != self._generation.model:
            self._template_model = self._generation.model
            self._templates = [self._template(index) for index in range(self._choices)]

    def _content(self, piece: Piece) -> bytes:
        fields = self._shape.piece(piece)
        if fields is None:
            return b""
        logprobs = self._logprobs[piece.index].encode(piece.logprobs) if piece.logprobs else None
        return event(self._chunk(piece.index, fields, logprobs=logprobs))

    def _finish(self, piece: Piece) -> bytes:
        self._usage = piece.usage or self._usage
        if piece.finish_reason is None:
            return b""
        self._running.discard(piece.index)
        body = self._chunk(piece.index, self._shape.closing, finish_reason=piece.finish_reason)
        is_last = not self._running and not self._include_usage
        return event(self._with_warnings(body) if is_last else body)

    def _with_warnings(self, body: dict[str, Any]) -> dict[str, Any]:
        self._warned = True
        return warned(body, self._warnings, self._generation.warnings)

    def _chunk(
        self,
        index: int,
        fields: Mapping[str, Any],
        *,
        logprobs: Mapping[str, Any] | None = None,
        finish_reason: str | None = None,
    ) -> dict[str, Any]:
        choice = {"index": index, **fields, "logprobs": logprobs, "finish_reason": finish_reason}
        body = {**self._head(), "choices": [choice]}
        return {**body, "usage": None} if self._include_usage else body

    def _head(self) -> dict[str, Any]:
        return self._identity.head(self._shape.object, self._generation.model)

    def _template(self, index: int) -> tuple[bytes, bytes]:
        whole = event(self._chunk(index, self._shape.text(TEXT)))
        before, _, after = whole.partition(json.dumps(TEXT).encode())
        return before, after


def _is_rich(piece: Piece) -> bool:
    """Whether it brings more than text."""
    return bool(piece.logprobs or piece.tool_calls or piece.reasoning) or piece.finish_reason is not None


def _calls(deltas: Sequence[ToolCallDelta]) -> Sequence[Mapping[str, Any]]:
    """One entry a call: clients take the first chunk as it is and merge by index only from the second on."""
    calls: dict[int, dict[str, Any]] = {}
    for delta in deltas:
        call = calls.setdefault(delta.index, {"index": delta.index, "function": {"arguments": ""}})
        call["function"]["arguments"] += delta.arguments
        if delta.name is not None:
            call["function"]["name"] = delta.name
        if delta.id is not None:
            call.update(id=delta.id, type="function")
    return list(calls.values())
