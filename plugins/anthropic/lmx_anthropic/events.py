"""Server-sent events. The constant part of a text's event is made once a block; a text costs one JSON string."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field

from lmx_anthropic import thoughts
from lmx_anthropic.gather import new_id
from lmx_anthropic.usage import opening_usage, plain_usage, stop_reason, unfinished
from lmx_hookspecs import Generation, Piece, ToolCallDelta, Usage
from lmx_hookspecs.errors import EngineFailed
from lmx_hookspecs.generation import FinishReason

COMMENT = b": ping\n\n"
TEXT = "\x00"
"""Marks where the text stands in a template; JSON escapes it, so it occurs nowhere else."""
FIELDS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
THINKING = "thinking"
TEXTS = "text"


def event(body: Mapping[str, Any]) -> bytes:
    """One event, named by its type."""
    return b"event: %b\ndata: %b\n\n" % (body["type"].encode(), json.dumps(body, separators=(",", ":")).encode())


PING = event({"type": "ping"})


@define
class OpenBlock:
    """The content block that is being written."""

    index: int
    kind: str
    """`thinking`, `text`, or `call <place>`."""
    _before: bytes
    _after: bytes
    signed: thoughts.Hash = field(factory=thoughts.begun)

    @classmethod
    def of(cls, index: int, kind: str, delta: str) -> "OpenBlock":
        """A fresh one, whose deltas are of that type."""
        body = {"type": "content_block_delta", "index": index, "delta": {"type": delta, FIELDS[delta]: TEXT}}
        before, _, after = event(body).partition(json.dumps(TEXT).encode())
        return cls(index, kind, before, after)

    def delta(self, text: str) -> bytes:
        """Some more of it."""
        return self._before + json.dumps(text).encode() + self._after

    def end(self) -> bytes:
        """What closes it."""
        closing = event({"type": "content_block_stop", "index": self.index})
        if self.kind != THINKING:
            return closing
        delta = {"type": "signature_delta", "signature": thoughts.signature(self.signed)}
        return event({"type": "content_block_delta", "index": self.index, "delta": delta}) + closing


@define(eq=False)
class EventEncoder:
    """Turns the pieces of one generation into events."""

    _generation: Generation
    _warnings: Sequence[str]
    """What the surface itself has dropped."""
    _shown: bool = True
    """Whether the text of thoughts is sent."""
    _block: OpenBlock | None = None
    _blocks: int = 0
    _calls: set[int] = field(factory=set)
    _begun: bool = False
    _finish: FinishReason | None = None
    _stop: str | None = None
    _usage: Usage | None = None

    def piece(self, piece: Piece) -> bytes:
        """The events that a piece becomes; often one, sometimes none."""
        self._finish = piece.finish_reason or self._finish
        self._stop = piece.stop or self._stop
        self._usage = piece.usage or self._usage
        events = [self._opening()]
        if piece.reasoning:
            events += self._thought(piece.reasoning)
        if piece.text:
            events += self._into(TEXTS, {"type": "text", "text": ""}, "text_delta", piece.text)
        for delta in piece.tool_calls:
            events += self._call(delta)
        return b"".join(events)

    def ping(self) -> bytes:
        """What fills silence; before the message has begun, which is the first event of all, a comment does."""
        return PING if self._begun else COMMENT

    def end(self) -> bytes:
        """What follows the last piece; raises EngineFailed where that was not the last one."""
        if self._usage is None or self._finish is None:
            raise unfinished()
        reason = stop_reason(self._finish, self._stop, called=bool(self._calls))
        sequence = self._stop if reason == "stop_sequence" else None
        closing: dict[str, Any] = {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": sequence},
            "usage": plain_usage(self._usage),
        }
        warnings = [*self._warnings, *self._generation.warnings]
        told = {**closing, "warnings": warnings} if warnings else closing
        return self._close() + event(told) + event({"type": "message_stop"})

    def _opening(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        message: dict[str, Any] = {
            "id": new_id(),
            "type": "message",
            "role": "assistant",
            "model": self._generation.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": opening_usage(self._generation.prompt_tokens),
        }
        return event({"type": "message_start", "message": message})

    def _thought(self, text: str) -> list[bytes]:
        blank = {"type": "thinking", "thinking": "", "signature": ""}
        events = self._into(THINKING, blank, "thinking_delta", text if self._shown else "")
        if self._block is not None:
            self._block.signed.update(text.encode("utf-8", "replace"))
        return events

    def _call(self, delta: ToolCallDelta) -> list[bytes]:
        kind = f"call {delta.index}"
        if delta.index in self._calls and (self._block is None or self._block.kind != kind):
            raise EngineFailed("the engine went back to a call that it had ended; send the request again")
        self._calls.add(delta.index)
        blank: dict[str, Any] = {"type": "tool_use", "id": delta.id, "name": delta.name, "input": {}}
        return self._into(kind, blank, "input_json_delta", delta.arguments)

    def _into(self, kind: str, blank: Mapping[str, Any], delta: str, text: str) -> list[bytes]:
        """Text for the block of that kind, which is opened where another one, or none, is open."""
        events: list[bytes] = []
        block = self._block
        if block is None or block.kind != kind:
            events.append(self._close())
            block = self._block = OpenBlock.of(self._blocks, kind, delta)
            events.append(event({"type": "content_block_start", "index": block.index, "content_block": blank}))
            if not self._blocks:
                events.append(PING)
            self._blocks += 1
        if text:
            events.append(block.delta(text))
        return events

    def _close(self) -> bytes:
        block, self._block = self._block, None
        return b"" if block is None else block.end()
