"""Whole answers, gathered from the pieces of a generation."""

import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from attrs import define, field, frozen

from lmx_hookspecs import Embeddings, Generation, Piece, Reranking, ToolCallDelta, Usage
from lmx_hookspecs.errors import EngineFailed
from lmx_hookspecs.generation import FinishReason
from lmx_openai.logprobs import ChatLogprobs, LegacyLogprobs

HEADER_SAFE = "!#$&'()*+,/:;=?@[]^`{|}~ "
"""What stands in a header as it is, beside letters, digits and `_.-`; the rest of a model's name is percent-encoded."""
UNCOUNTED = "token counts are unknown: what answers does not report them"


@frozen
class Identity:
    """What all parts of one answer have in common."""

    id: str
    created: int

    def head(self, object: str, model: str) -> dict[str, Any]:
        """The fields that an answer begins with."""
        return {"id": self.id, "object": object, "created": self.created, "model": model}


def identity(prefix: str) -> Identity:
    """A fresh one."""
    return Identity(f"{prefix}{secrets.token_urlsafe(16)}", int(time.time()))


def served_by(answer: Generation | Embeddings | Reranking) -> Mapping[str, str]:
    """The header that names who answers; of a stream whose headers went out before its first piece, who was to."""
    return {"X-LMX-Served-By": quote(answer.served_by, safe=HEADER_SAFE)}


@define
class Gathered:
    """Everything that one choice has brought so far."""

    texts: list[str] = field(factory=list)
    reasoning: list[str] = field(factory=list)
    calls: dict[int, dict[str, Any]] = field(factory=dict)
    logprobs: list[Any] = field(factory=list)
    finish_reason: FinishReason | None = None

    def add(self, piece: Piece) -> None:
        """Take in a piece."""
        self.texts.append(piece.text)
        self.reasoning.append(piece.reasoning)
        self.logprobs.extend(piece.logprobs)
        for delta in piece.tool_calls:
            self.add_call(delta)
        self.finish_reason = piece.finish_reason or self.finish_reason

    def add_call(self, delta: ToolCallDelta) -> None:
        """Take in a fragment of a tool call."""
        call = self.calls.setdefault(delta.index, {"id": delta.id, "type": "function", "function": {"arguments": ""}})
        if delta.name is not None:
            call["function"]["name"] = delta.name
        call["function"]["arguments"] += delta.arguments


async def gather(
    generation: Generation, choices: int, hear: Callable[[Piece], object] = lambda _: None
) -> tuple[Sequence[Gathered], Usage]:
    """All pieces of all choices, each of them heard as it comes; raises EngineFailed where the engine stopped early."""
    gathered = [Gathered() for _ in range(choices)]
    usage = None
    try:
        async for piece in generation:
            hear(piece)
            gathered[piece.index].add(piece)
            usage = piece.usage or usage
    finally:
        await generation.aclose()
    if usage is None or not all(choice.finish_reason for choice in gathered):
        raise unfinished()
    return gathered, usage


def unfinished() -> EngineFailed:
    """The engine's pieces ended before its answer did."""
    return EngineFailed("the engine stopped in the middle of the answer; send the request again")


def chat_choice(index: int, choice: Gathered, *, logprobs: bool) -> Mapping[str, Any]:
    """A choice of a chat completion."""
    text, reasoning = "".join(choice.texts), "".join(choice.reasoning)
    message: dict[str, Any] = {"role": "assistant", "content": text or (None if choice.calls else "")}
    if reasoning:
        message["reasoning_content"] = reasoning
    if choice.calls:
        message["tool_calls"] = [choice.calls[place] for place in sorted(choice.calls)]
    return {
        "index": index,
        "message": message,
        "logprobs": ChatLogprobs().encode(choice.logprobs) if logprobs else None,
        "finish_reason": choice.finish_reason,
    }


def completion_choice(index: int, choice: Gathered, *, logprobs: bool) -> Mapping[str, Any]:
    """A choice of a completion."""
    return {
        "index": index,
        "text": "".join(choice.texts),
        "logprobs": LegacyLogprobs().encode(choice.logprobs) if logprobs else None,
        "finish_reason": choice.finish_reason,
    }


def plain_usage(usage: Usage) -> Mapping[str, Any]:
    """Token counts as the API writes them."""
    counts = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }
    if usage.reasoning_tokens is None:
        return counts
    return {**counts, "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens}}


def warned(body: dict[str, Any], *warnings: Iterable[str]) -> dict[str, Any]:
    """The body, with the warnings if there are any."""
    told = [warning for source in warnings for warning in source]
    return {**body, "warnings": told} if told else body
