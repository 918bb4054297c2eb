"""What ends an answer: its stop reason and its token counts."""

from typing import Any

from lmx_anthropic.answers import StopReason
from lmx_hookspecs import Usage
from lmx_hookspecs.errors import EngineFailed
from lmx_hookspecs.generation import FinishReason


def stop_reason(finish: FinishReason, stop: str | None, *, called: bool) -> StopReason:
    """Why the answer ended; `stop` is the stop sequence that was hit."""
    if finish == "length":
        return "max_tokens"
    if finish == "content_filter":
        return "refusal"
    if finish == "tool_calls" or called:
        return "tool_use"
    return "end_turn" if stop is None else "stop_sequence"


def plain_usage(usage: Usage) -> dict[str, Any]:
    """Token counts as the API writes them: what came out of the prefix cache stands apart."""
    counts: dict[str, Any] = {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "cache_creation_input_tokens": 0,
    }
    if usage.reasoning_tokens is None:
        return counts
    return {**counts, "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens}}


def opening_usage(prompt_tokens: int) -> dict[str, Any]:
    """What is known when a stream begins; its end says how much of the prompt was cached."""
    return plain_usage(Usage(prompt_tokens=prompt_tokens, completion_tokens=0))


def unfinished() -> EngineFailed:
    """The engine's pieces ended before its answer did."""
    return EngineFailed("the engine stopped in the middle of the answer; send the request again")
