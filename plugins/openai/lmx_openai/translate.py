"""From the wire to the contract's GenerationRequest, with the checks that need more than one field."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from lmx_hookspecs import GenerationRequest, Message, Request, Sampling
from lmx_hookspecs.envelope import envelope_fields
from lmx_hookspecs.errors import InvalidRequest, UnsupportedParameter
from lmx_openai.requests import (
    MAX_PROMPTS,
    MAX_STOPS,
    ChatMessage,
    ChatRequest,
    CompletionRequest,
    SharedFields,
)
from lmx_openai.tools import check_results, checked_choice, checked_tools, plain_call

SAMPLING = tuple(field.name for field in attrs.fields(Sampling))
NEUTRAL = ("stop", "response_format", "context_policy")
"""Fields that a client can set to what they are anyway."""
FORMATS = ("text", "json_object", "json_schema")
MAX_BIAS = 100


def chat_generation(request: Request, *, stream: bool | None = None) -> GenerationRequest:
    """A chat; `stream` says what the body leaves open."""
    body: ChatRequest = request.body
    tools = checked_tools(body.tools or ())
    choice = checked_choice(body.tool_choice, tools)
    check_results(body.messages)
    shared = _shared(request, body)
    return GenerationRequest(
        **(shared if stream is None else {**shared, "stream": stream}),
        messages=[_message(message, f"messages[{place}]") for place, message in enumerate(body.messages)],
        max_tokens=_max_tokens(body),
        logprobs=_chat_logprobs(body),
        tools=() if body.tool_choice == "none" else tools,
        tool_choice=choice,
        parallel_tool_calls=body.parallel_tool_calls is not False or not tools,
        reasoning_effort=body.reasoning_effort,
        thinking_budget=body.thinking_budget,
        response_format=_response_format(body.response_format),
        chat_template_kwargs=body.chat_template_kwargs or {},
        context_policy=body.context_policy or "error",
    )


def completion_generation(request: Request) -> GenerationRequest:
    """One or several prompts."""
    body: CompletionRequest = request.body
    return GenerationRequest(
        **_shared(request, body),
        prompts=_prompts(body.prompt),
        max_tokens=body.max_tokens,
        logprobs=body.logprobs,
        echo=bool(body.echo),
        suffix=body.suffix or None,
    )


def _shared(request: Request, body: SharedFields) -> dict[str, Any]:
    return {
        "model": body.model,
        "n": body.n or 1,
        "stop": _stops(body.stop),
        "sampling": _sampling(body),
        "open_sampling": frozenset(name for name in SAMPLING if getattr(body, name) is None),
        "explicit": frozenset(name for name in NEUTRAL if getattr(body, name, None) is not None),
        "num_ctx": body.num_ctx,
        "grammar": body.grammar,
        "regex": body.regex,
        "choice": tuple(body.choice or ()),
        "surface": "openai",
        "stream": bool(body.stream),
        **envelope_fields(request),
    }


def _sampling(body: SharedFields) -> Sampling:
    for token, bias in (body.logit_bias or {}).items():
        if token < 0 or abs(bias) > MAX_BIAS:
            raise InvalidRequest(
                f"logit_bias[{token}]: token ids are not negative, biases are between -{MAX_BIAS} and {MAX_BIAS}",
                param="logit_bias",
            )
    given = {name: getattr(body, name) for name in SAMPLING}
    return Sampling(**{name: value for name, value in given.items() if value is not None})


def _stops(stop: str | Sequence[str] | None) -> Sequence[str]:
    if stop is None:
        return ()
    stops = (stop,) if isinstance(stop, str) else tuple(stop)
    if len(stops) > MAX_STOPS or not all(stops):
        raise InvalidRequest(f"stop must be a non-empty string, or up to {MAX_STOPS} of them", param="stop")
    return stops


def _max_tokens(body: ChatRequest) -> int | None:
    newer, older = body.max_completion_tokens, body.max_tokens
    if newer is not None and older is not None and newer != older:
        raise InvalidRequest(
            "max_completion_tokens and max_tokens differ; send one of them", param="max_completion_tokens"
        )
    return older if newer is None else newer


def _chat_logprobs(body: ChatRequest) -> int | None:
    if body.top_logprobs and not body.logprobs:
        raise InvalidRequest("top_logprobs needs logprobs: true", param="top_logprobs")
    return (body.top_logprobs or 0) if body.logprobs else None


def _response_format(chosen: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if chosen is None:
        return None
    kind = chosen.get("type")
    if kind not in FORMATS:
        raise InvalidRequest(f"response_format.type must be one of {', '.join(FORMATS)}", param="response_format")
    return None if kind == "text" else chosen


def _prompts(prompt: str | Sequence[Any]) -> Sequence[str | Sequence[int]]:
    if isinstance(prompt, str):
        return (prompt,)
    if prompt and isinstance(prompt[0], int):
        return (tuple(prompt),)
    if not 0 < len(prompt) <= MAX_PROMPTS or not all(isinstance(one, str) or one for one in prompt):
        raise InvalidRequest(
            f"prompt must be a text, token ids, or a list of 1 to {MAX_PROMPTS} of either, none of them without ids",
            param="prompt",
        )
    return tuple(prompt)


def _message(message: ChatMessage, place: str) -> Message:
    content = _text(message.content, f"{place}.content")
    calls = tuple(plain_call(call) for call in message.tool_calls or ())
    if calls and message.role != "assistant":
        raise InvalidRequest(f"{place}.tool_calls belong to the assistant", param=f"{place}.tool_calls")
    if content is None and not calls:
        raise InvalidRequest(f"{place}.content is required", param=f"{place}.content")
    if message.role == "tool" and not message.tool_call_id:
        raise InvalidRequest(f"{place}.tool_call_id is required with a tool's result", param=f"{place}.tool_call_id")
    return Message(
        role=message.role,
        content=content,
        name=message.name,
        tool_calls=calls,
        tool_call_id=message.tool_call_id,
        reasoning_content=message.reasoning_content,
    )


def _text(content: str | Sequence[Mapping[str, Any]] | None, place: str) -> str | None:
    if content is None or isinstance(content, str):
        return content
    return "".join(_part(part, f"{place}[{position}]") for position, part in enumerate(content))


def _part(part: Mapping[str, Any], place: str) -> str:
    kind = part.get("type")
    if kind != "text":
        raise UnsupportedParameter(
            f"{place}: parts of type {kind!r} are not supported by this server; send parts of type text", param=place
        )
    text = part.get("text")
    if not isinstance(text, str):
        raise InvalidRequest(f"{place}.text must be a string", param=f"{place}.text")
    return text
