"""From the wire to the contract's GenerationRequest, with the checks that need more than one field."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from lmx_hookspecs import GenerationRequest, Message, Request, Sampling
from lmx_hookspecs.envelope import envelope_fields
from lmx_hookspecs.errors import InvalidRequest
from lmx_responses.requests import ResponseRequest, TextOptions
from lmx_responses.tools import Toolbox
from lmx_responses.unknown import LOGPROBS

SAMPLING = tuple(field.name for field in attrs.fields(Sampling))
FORMATS = ("text", "json_object", "json_schema")
NAMES: Mapping[str, str] = {
    ".function.parameters": ".parameters",
    "context_policy: trim": "truncation: auto",
    "max_tokens": "max_output_tokens",
    "messages": "input",
    "reasoning_effort": "reasoning.effort",
    "response_format": "text.format",
}
"""What this API calls the fields of a generation that are not its own."""
SCHEMA_FIELDS = ("name", "description", "schema", "strict")
MAX_METADATA = 16
MAX_METADATA_KEY = 64
MAX_METADATA_VALUE = 512


def generation_request(request: Request, messages: Sequence[Message], box: Toolbox) -> GenerationRequest:
    """Raises InvalidRequest and UnsupportedParameter."""
    body: ResponseRequest = request.body
    sampling = {name: getattr(body, name, None) for name in SAMPLING}
    return GenerationRequest(
        model=body.model,
        messages=messages,
        max_tokens=body.max_output_tokens,
        sampling=Sampling(**{name: value for name, value in sampling.items() if value is not None}),
        open_sampling=frozenset(name for name, value in sampling.items() if value is None),
        explicit=_explicit(body),
        logprobs=_logprobs(body),
        num_ctx=body.num_ctx,
        context_policy="trim" if body.truncation == "auto" else "error",
        tools=box.tools,
        tool_choice=box.choice,
        parallel_tool_calls=body.parallel_tool_calls is not False or not (box.tools or box.search),
        reasoning_effort=body.reasoning.effort if body.reasoning else None,
        thinking_budget=body.thinking_budget,
        response_format=_response_format(body.text),
        chat_template_kwargs=body.chat_template_kwargs or {},
        surface="responses",
        stream=bool(body.stream or body.background),
        **envelope_fields(request),
    )


def check_body(body: ResponseRequest) -> None:
    """Raises InvalidRequest for fields that do not go together."""
    if body.background and body.store is False:
        raise InvalidRequest("background needs store: true, or nobody could ask for the response", param="background")
    metadata = body.metadata or {}
    if len(metadata) > MAX_METADATA:
        raise InvalidRequest(f"metadata has more than {MAX_METADATA} entries", param="metadata")
    for key, value in metadata.items():
        if len(key) > MAX_METADATA_KEY or len(value) > MAX_METADATA_VALUE:
            raise InvalidRequest(
                f"metadata: keys have at most {MAX_METADATA_KEY} characters, values {MAX_METADATA_VALUE}",
                param="metadata",
            )


def _explicit(body: ResponseRequest) -> frozenset[str]:
    set_here = {
        "response_format": body.text is not None and body.text.format is not None,
        "context_policy": body.truncation is not None,
    }
    return frozenset(name for name, is_set in set_here.items() if is_set)


def _logprobs(body: ResponseRequest) -> int | None:
    wanted = LOGPROBS in (body.include or ())
    if body.top_logprobs and not wanted:
        raise InvalidRequest(f"top_logprobs needs include: [{LOGPROBS!r}]", param="top_logprobs")
    return (body.top_logprobs or 0) if wanted else None


def _response_format(text: TextOptions | None) -> Mapping[str, Any] | None:
    """As chats have it."""
    chosen = text.format if text is not None else None
    if chosen is None:
        return None
    kind = chosen.get("type")
    if kind not in FORMATS:
        raise InvalidRequest(f"text.format.type must be one of {', '.join(FORMATS)}", param="text.format.type")
    if kind == "text":
        return None
    if kind == "json_object":
        return {"type": kind}
    if not isinstance(chosen.get("schema"), Mapping):
        raise InvalidRequest("text.format.schema must be a JSON schema, an object", param="text.format.schema")
    told = {field: chosen[field] for field in SCHEMA_FIELDS if chosen.get(field) is not None}
    return {"type": kind, "json_schema": told}
