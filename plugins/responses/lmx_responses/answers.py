"""The shapes of answers, as the OpenAPI document shows them; `objects.py` fills them as plain data."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from attrs import frozen


@frozen(kw_only=True)
class InputDetails:
    """Where the input's tokens came from."""

    cached_tokens: int
    cache_write_tokens: int


@frozen(kw_only=True)
class OutputDetails:
    """What the output's tokens were for."""

    reasoning_tokens: int


@frozen(kw_only=True)
class ResponseUsage:
    """Token counts, from the tokenizer."""

    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails
    total_tokens: int


@frozen(kw_only=True)
class ResponseObject:
    """The answer of POST and GET; beside these fields, those of the request come back."""

    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    status: Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
    background: bool
    error: Mapping[str, Any] | None
    incomplete_details: Mapping[str, Any] | None
    model: str
    output: Sequence[Mapping[str, Any]]
    usage: ResponseUsage | None
    warnings: Sequence[str] = ()


@frozen(kw_only=True)
class ItemList:
    """A page of the items that a response was made from."""

    object: Literal["list"]
    data: Sequence[Mapping[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: bool


@frozen(kw_only=True)
class DeletedResponse:
    """A response that is forgotten."""

    id: str
    object: Literal["response"]
    deleted: Literal[True]
