"""The response object, as plain data, from the first moment to the last."""

from collections.abc import Mapping, Sequence
from typing import Any

from lmx_hookspecs import LmxError, Usage
from lmx_hookspecs.errors import Busy, InvalidRequest
from lmx_hookspecs.generation import FinishReason
from lmx_responses.requests import ResponseRequest

QUEUED, IN_PROGRESS = "queued", "in_progress"
COMPLETED, INCOMPLETE, FAILED, CANCELLED = "completed", "incomplete", "failed", "cancelled"
UNFINISHED = (QUEUED, IN_PROGRESS)
INTERRUPTED = "the server stopped before the response was complete; ask again"
REASONS: Mapping[FinishReason, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Why a response is incomplete."""


def new_response(body: ResponseRequest, response_id: str, created_at: int) -> dict[str, Any]:
    """What is known before anything has been generated."""
    text, reasoning = body.text, body.reasoning
    return {
        "id": response_id,
        "object": "response",
        "created_at": created_at,
        "status": QUEUED if body.background else IN_PROGRESS,
        "background": bool(body.background),
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "max_tool_calls": body.max_tool_calls,
        "metadata": dict(body.metadata or {}),
        "model": body.model,
        "output": [],
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "previous_response_id": body.previous_response_id,
        "prompt_cache_key": body.prompt_cache_key,
        "reasoning": {"effort": reasoning.effort if reasoning else None, "summary": None},
        "safety_identifier": body.safety_identifier,
        "service_tier": "default",
        "store": body.store is not False,
        "temperature": body.temperature,
        "text": {"format": (text.format if text else None) or {"type": "text"}},
        "tool_choice": body.tool_choice or "auto",
        "tools": list(body.tools or ()),
        "top_logprobs": body.top_logprobs or 0,
        "top_p": body.top_p,
        "truncation": body.truncation or "disabled",
        "usage": None,
        "user": body.user,
    }


def plain_usage(usage: Usage) -> Mapping[str, Any]:
    """Token counts as this API writes them; writing into the cache is not counted apart."""
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def plain_error(error: LmxError) -> Mapping[str, Any]:
    """Of a failed response: `code` is one of this API's few, `type` what the server calls it."""
    code = "invalid_prompt" if isinstance(error, InvalidRequest) else "server_error"
    if isinstance(error, Busy):
        code = "rate_limit_exceeded"
    return {"code": code, "message": error.message, "param": error.param, "type": error.code}


def interrupted(response: Mapping[str, Any]) -> dict[str, Any]:
    """The same response, of which the server lost hold."""
    error = {"code": "server_error", "message": INTERRUPTED, "param": None, "type": "interrupted"}
    return {**response, "status": FAILED, "error": error}


def with_warnings(response: dict[str, Any], *sources: Sequence[str]) -> dict[str, Any]:
    """The response, with the warnings if there are any."""
    told = [warning for source in sources for warning in source]
    return {**response, "warnings": told} if told else response
