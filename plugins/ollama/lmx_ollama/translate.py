"""From the wire to the contract's GenerationRequest."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import fields

from lmx_hookspecs import GenerationRequest, Request, Sampling
from lmx_hookspecs.envelope import envelope_fields
from lmx_hookspecs.errors import InvalidRequest, UnsupportedParameter
from lmx_hookspecs.functions import check_parameters, checked_function_name
from lmx_hookspecs.generation import Message
from lmx_ollama.conversation import conversation
from lmx_ollama.options import Options
from lmx_ollama.requests import ChatBody, GenerateBody, SharedFields

NAMES: Mapping[str, str] = {
    "context_policy: trim": "truncate: true",
    "context_policy": "truncate",
    "max_tokens": "options.num_predict",
    "reasoning_effort": "think",
    "response_format": "format",
}
"""What this API calls the fields of a generation that are not its own."""
SAMPLING = frozenset(field.name for field in fields(Sampling))


def chat_generation(request: Request, name: str, options: Options) -> GenerationRequest:
    """A chat."""
    body: ChatBody = request.body
    return GenerationRequest(
        **_shared(request, body, name, options, _thinking(body), _truncation(body)),
        messages=conversation(body.messages or ()),
        tools=_tools(body.tools or ()),
    )


def completion_generation(request: Request, name: str, options: Options) -> GenerationRequest:
    """A prompt, in the model's chat template unless it is raw or has a suffix."""
    body: GenerateBody = request.body
    _check_refused(body)
    prompt = body.prompt or ""
    if body.raw or body.suffix:
        if body.raw and body.system:
            raise InvalidRequest("raw mode does not support system; write it into the prompt", param="system")
        shared = _shared(request, body, name, options)
        return GenerationRequest(**shared, prompts=(prompt,), suffix=body.suffix or None)
    system = [Message(role="system", content=body.system)] if body.system else []
    messages = [*system, Message(role="user", content=prompt)]
    return GenerationRequest(**_shared(request, body, name, options, _thinking(body)), messages=messages)


def _shared(
    request: Request, body: SharedFields, name: str, options: Options, *wishes: Mapping[str, Any]
) -> dict[str, Any]:
    """`wishes` are fields of a generation, each but `dispensable` in one of them only."""
    if body.top_logprobs and not body.logprobs:
        raise InvalidRequest("top_logprobs needs logprobs: true", param="top_logprobs")
    return {
        "model": name,
        "stop": options.stop,
        "max_tokens": options.max_tokens,
        "num_ctx": options.num_ctx,
        "sampling": Sampling(**options.sampling),
        "open_sampling": SAMPLING - options.sampling.keys(),
        "logprobs": (body.top_logprobs or 0) if body.logprobs else None,
        "response_format": _response_format(body.format),
        "surface": "ollama",
        "stream": body.stream is not False,
        **envelope_fields(request),
        **{name: value for wish in wishes for name, value in wish.items()},
        "dispensable": frozenset({"max_tokens"}).union(*(wish.get("dispensable", ()) for wish in wishes)),
    }


def _thinking(body: SharedFields) -> dict[str, Any]:
    """A model that cannot think need not be told not to; one that shall think has to be able to."""
    if body.think is None:
        return {}
    if body.think is False:
        return {"reasoning_effort": "none", "dispensable": frozenset({"reasoning_effort"})}
    return {"reasoning_effort": "medium" if body.think is True else body.think}


def _truncation(body: SharedFields) -> dict[str, Any]:
    """A chat that does not fit loses its oldest messages, unless the client says otherwise, as it would in Ollama."""
    if body.truncate is False:
        return {"explicit": frozenset({"context_policy"})}
    return {"context_policy": "trim", "dispensable": frozenset() if body.truncate else frozenset({"context_policy"})}


def _response_format(wanted: str | Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if wanted is None or wanted in ("", {}):
        return None
    if isinstance(wanted, str):
        if wanted != "json":
            raise InvalidRequest("format must be json, or a JSON schema", param="format")
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": "format", "schema": wanted}}


def _tools(tools: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    names: set[str] = set()
    for place, tool in enumerate(tools):
        told = tool.get("function")
        function = told if isinstance(told, Mapping) else {}
        name = function.get("name")
        if tool.get("type", "function") != "function" or not name:
            raise InvalidRequest(f"tools[{place}] must be a function that has a name", param=f"tools[{place}]")
        name = checked_function_name(name, f"tools[{place}].function.name")
        check_parameters(function.get("parameters"), f"tools[{place}].function.parameters")
        if name in names:
            raise InvalidRequest(f"tools[{place}] has the name {name!r} of another tool", param=f"tools[{place}]")
        names.add(name)
    return tuple({**tool, "type": "function"} for tool in tools)


def _check_refused(body: GenerateBody) -> None:
    refused = {
        "images": (body.images, "the models here read text only"),
        "template": (body.template, "the model's own template is used; with raw: true, write the prompt yourself"),
        "context": (body.context, "send the whole conversation to /api/chat"),
    }
    for name, (value, reason) in refused.items():
        if value:
            raise UnsupportedParameter(f"{name} is not supported: {reason}", param=name)
