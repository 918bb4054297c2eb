"""From the wire to the contract's GenerationRequest."""

from collections.abc import Mapping
from typing import Any

from lmx_anthropic.blocks import chat, instructions
from lmx_anthropic.requests import CountRequest, MessagesRequest, PromptFields
from lmx_anthropic.thinking import output_fields, thinking_fields
from lmx_anthropic.tools import choice_of, functions, is_parallel
from lmx_anthropic.unknown import Unsupported
from lmx_hookspecs import GenerationRequest, Request, Sampling
from lmx_hookspecs.envelope import envelope_fields
from lmx_hookspecs.errors import InvalidRequest

DRAWN = ("temperature", "top_p", "top_k")
NAMES: Mapping[str, str] = {
    "response_format": "output_config.format",
    ".function.parameters": ".input_schema",
    "send context_policy: trim": "ask for a preset with context_policy: trim",
}
"""What this API calls the fields of a generation that are not its own."""
OPEN = frozenset({"min_p", "repetition_penalty", "presence_penalty", "frequency_penalty", "logit_bias", "seed"})
"""What no client of this API can say, and a preset or the model may."""


def generation(request: Request, unsupported: Unsupported) -> GenerationRequest:
    """What POST /v1/messages asks for."""
    body: MessagesRequest = request.body
    given = {name: value for name in DRAWN if (value := getattr(body, name)) is not None}
    return GenerationRequest(
        **_shared(request, body, body.max_tokens, unsupported),
        max_tokens=body.max_tokens,
        stop=_stops(body),
        explicit=frozenset({"stop"} if body.stop_sequences is not None else ()),
        sampling=Sampling(**given),
        open_sampling=OPEN | (frozenset(DRAWN) - given.keys()),
        stream=bool(body.stream),
    )


def counted(request: Request, unsupported: Unsupported) -> GenerationRequest:
    """What POST /v1/messages/count_tokens asks for: the prompt of such a generation."""
    body: CountRequest = request.body
    return GenerationRequest(**_shared(request, body, None, unsupported))


def _shared(request: Request, body: PromptFields, max_tokens: int | None, unsupported: Unsupported) -> dict[str, Any]:
    tools = functions(body.tools or (), unsupported)
    choice = choice_of(body.tool_choice, tools, unsupported)
    hidden = body.tool_choice is not None and body.tool_choice.get("type") == "none"
    return {
        "model": body.model,
        "messages": [*instructions(body.system), *chat(body.messages)],
        "tools": () if hidden else tools,
        "tool_choice": choice,
        "parallel_tool_calls": is_parallel(body.tool_choice) or not tools or hidden,
        **_wishes(body, max_tokens, unsupported),
        "surface": "anthropic",
        **envelope_fields(request),
    }


def _wishes(body: PromptFields, max_tokens: int | None, unsupported: Unsupported) -> dict[str, Any]:
    output = output_fields(body.output_config, unsupported)
    thinking = thinking_fields(body.thinking, max_tokens, unsupported)
    dispensable = output.pop("dispensable", frozenset()) | thinking.pop("dispensable", frozenset())
    return {**output, **thinking, "dispensable": dispensable}


def _stops(body: MessagesRequest) -> tuple[str, ...]:
    stops = tuple(body.stop_sequences or ())
    if not all(stops):
        raise InvalidRequest("stop_sequences must not hold an empty text", param="stop_sequences")
    return stops
