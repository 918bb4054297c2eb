"""The objects that an answer consists of: one for each piece, and a last one with the numbers."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen

from lmx_hookspecs import Generation, Piece, TokenLogprob, ToolCallDelta, Usage
from lmx_hookspecs.errors import EngineFailed
from lmx_ollama.names import timestamp

NS = 1_000_000_000
DONE_REASONS = {"length": "length"}
"""Everything else has stopped by itself, calls of tools too."""
Content = Callable[[str, str, Sequence[Mapping[str, Any]]], Mapping[str, Any]]
"""From text, reasoning and tool calls to the fields of an object."""


def chat_content(text: str, thinking: str, calls: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """As /api/chat has it."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if thinking:
        message["thinking"] = thinking
    if calls:
        message["tool_calls"] = calls
    return {"message": message}


def completion_content(text: str, thinking: str, _: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """As /api/generate has it."""
    return {"response": text, "thinking": thinking} if thinking else {"response": text}


@frozen
class Clock:
    """When a request came, and how long it waited for its model to be loaded."""

    began_s: float = field(factory=time.monotonic)
    load_s: float = 0.0

    def durations(self) -> dict[str, int]:
        """In nanoseconds."""
        return {"total_duration": int((time.monotonic() - self.began_s) * NS), "load_duration": int(self.load_s * NS)}


@define(eq=False)
class Answer:
    """Turns the pieces of one generation into objects."""

    _name: str
    """As the client called the model."""
    _generation: Generation
    _content: Content
    _clock: Clock
    _warnings: Sequence[str]
    """What the surface itself has dropped."""
    _calls: dict[int, list[str]] = field(factory=dict)
    """By index: the name, then the fragments of the arguments."""
    _finish_reason: str | None = None
    _usage: Usage | None = None

    def piece(self, piece: Piece) -> Mapping[str, Any] | None:
        """What a piece brings, if it brings something to show; calls come whole, at the end."""
        for delta in piece.tool_calls:
            self._add_call(delta)
        self._usage = piece.usage or self._usage
        self._finish_reason = piece.finish_reason or self._finish_reason
        calls = self._whole_calls() if piece.finish_reason else []
        if not (piece.text or piece.reasoning or calls or piece.logprobs):
            return None
        shown = {**self._head(), **self._content(piece.text, piece.reasoning, calls), "done": False}
        return {**shown, "logprobs": logprobs(piece.logprobs)} if piece.logprobs else shown

    def last(self) -> dict[str, Any]:
        """The numbers; raises EngineFailed where the pieces ended before the answer did."""
        if self._usage is None or self._finish_reason is None:
            raise EngineFailed("the engine stopped in the middle of the answer; send the request again")
        usage = self._usage
        told = {
            **self._head(),
            **self._content("", "", []),
            "done": True,
            "done_reason": DONE_REASONS.get(self._finish_reason, "stop"),
            **self._clock.durations(),
            "prompt_eval_count": usage.prompt_tokens,
            "prompt_eval_duration": int(usage.prefill_s * NS),
            "eval_count": usage.completion_tokens,
            "eval_duration": int(usage.decode_s * NS),
        }
        warnings = [*self._warnings, *self._generation.warnings]
        return {**told, "warnings": warnings} if warnings else told

    async def whole(self) -> Mapping[str, Any]:
        """All pieces in one object."""
        texts: list[str] = []
        thoughts: list[str] = []
        entries: list[TokenLogprob] = []
        async for piece in self._generation:
            self.piece(piece)
            texts.append(piece.text)
            thoughts.append(piece.reasoning)
            entries.extend(piece.logprobs)
        calls = self._whole_calls()
        told = {**self.last(), **self._content("".join(texts), "".join(thoughts), calls)}
        return {**told, "logprobs": logprobs(entries)} if entries else told

    def _head(self) -> dict[str, Any]:
        return {"model": self._name, "created_at": timestamp(time.time())}

    def _add_call(self, delta: ToolCallDelta) -> None:
        fragments = self._calls.setdefault(delta.index, [""])
        fragments[0] = delta.name or fragments[0]
        fragments.append(delta.arguments)

    def _whole_calls(self) -> Sequence[Mapping[str, Any]]:
        return [
            {"function": {"index": index, "name": name, "arguments": _parsed("".join(fragments))}}
            for index, (name, *fragments) in sorted(self._calls.items())
        ]


def without_answer(name: str, content: Content, clock: Clock, reason: str) -> Mapping[str, Any]:
    """What a request gets that only loads or unloads a model."""
    head = {"model": name, "created_at": timestamp(time.time()), **content("", "", [])}
    return {**head, "done": True, "done_reason": reason, **clock.durations()}


def logprobs(entries: Sequence[TokenLogprob]) -> Sequence[Mapping[str, Any]]:
    """As OpenAI's chats have them."""
    return [{**_entry(entry), "top_logprobs": [_entry(top) for top in entry.top]} for entry in entries]


def _entry(entry: TokenLogprob) -> Mapping[str, Any]:
    return {"token": entry.token, "logprob": entry.logprob, "bytes": list(entry.token_bytes)}


def _parsed(arguments: str) -> Mapping[str, Any]:
    try:
        parsed = json.loads(arguments or "{}")
    except ValueError as error:
        raise EngineFailed("the model called a tool with arguments that are no JSON; send the request again") from error
    return parsed if isinstance(parsed, dict) else {"value": parsed}
