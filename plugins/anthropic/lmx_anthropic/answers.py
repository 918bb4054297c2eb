"""What is answered, for the OpenAPI document."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from attrs import frozen

StopReason = Literal["end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal"]


@frozen(kw_only=True)
class MessageUsage:
    """Token counts; those of the whole prompt are `input_tokens` and the two of the cache together."""

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int
    cache_creation_input_tokens: int


@frozen(kw_only=True)
class MessageAnswer:
    """The answer of POST /v1/messages. `warnings`, where there are any, say what was done otherwise than asked."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: Sequence[Mapping[str, Any]]
    stop_reason: StopReason
    stop_sequence: str | None
    usage: MessageUsage
    warnings: Sequence[str] = ()


@frozen(kw_only=True)
class CountAnswer:
    """The answer of POST /v1/messages/count_tokens."""

    input_tokens: int
