"""Requests as OpenAI-compatible servers take them."""

from collections.abc import Mapping
from typing import Any, Literal

from attrs import fields

from lmx_hookspecs import EmbeddingRequest, GenerationRequest, Message, RerankRequest, Sampling

EVERYWHERE = frozenset({"temperature", "top_p", "presence_penalty", "frequency_penalty"})
"""Sampling fields that may be sent with any value: the others are sent only where they change something."""

Encoding = Literal["base64", "float"]
AnyRequest = GenerationRequest | EmbeddingRequest | RerankRequest


def headers_of(request: AnyRequest) -> Mapping[str, str]:
    """What a node is told beside the request."""
    headers = {"X-Request-ID": request.request_id} if request.request_id else {}
    return headers if request.priority == "normal" else {**headers, "X-Priority": request.priority}


def generation_path(request: GenerationRequest) -> str:
    """Where it goes."""
    return "/v1/completions" if request.messages is None else "/v1/chat/completions"


def generation_body(request: GenerationRequest, model: str) -> Mapping[str, Any]:
    """A streamed request with every field that is not neutral; what the client left open, the node decides."""
    own = _prompts(request) if request.messages is None else _chat(request)
    shared = {
        "n": request.n if request.n > 1 else None,
        "max_tokens": request.max_tokens,
        "stop": list(request.stop),
        **_sampling(request),
        "num_ctx": request.num_ctx,
    }
    body = {**own, **shared}
    kept = {name: value for name, value in body.items() if value is not None and value not in ([], {})}
    return {"model": model, **kept, "stream": True, "stream_options": {"include_usage": True}}


def embedding_body(request: EmbeddingRequest, model: str, encoding: Encoding) -> Mapping[str, Any]:
    """Vectors as base64 are a tenth of the work to read."""
    first, *more = request.inputs
    body: dict[str, Any] = {
        "model": model,
        "input": first if not more else list(request.inputs),
        "encoding_format": encoding,
    }
    return body if request.dimensions is None else {**body, "dimensions": request.dimensions}


def rerank_body(request: RerankRequest, model: str) -> Mapping[str, Any]:
    """As Cohere and Jina have it."""
    body: dict[str, Any] = {"model": model, "query": request.query, "documents": list(request.documents)}
    return body if request.top_n is None else {**body, "top_n": request.top_n}


def _chat(request: GenerationRequest) -> dict[str, Any]:
    wants_logprobs = request.logprobs is not None
    return {
        "messages": [_message(message) for message in request.messages or ()],
        "tools": list(request.tools),
        "tool_choice": request.tool_choice,
        "parallel_tool_calls": None if request.parallel_tool_calls else False,
        "reasoning_effort": request.reasoning_effort,
        "response_format": request.response_format,
        "chat_template_kwargs": dict(request.chat_template_kwargs),
        "chat_template": request.chat_template,
        "logprobs": True if wants_logprobs else None,
        "top_logprobs": request.logprobs if wants_logprobs else None,
    }


def _prompts(request: GenerationRequest) -> dict[str, Any]:
    first, *more = request.prompts
    return {
        "prompt": [*request.prompts] if more else first,
        "suffix": request.suffix,
        "echo": request.echo or None,
        "logprobs": request.logprobs,
    }


def _message(message: Message) -> Mapping[str, Any]:
    rest = {"name": message.name, "tool_calls": list(message.tool_calls), "tool_call_id": message.tool_call_id}
    rest["reasoning_content"] = message.reasoning_content
    told = {name: value for name, value in rest.items() if value}
    return {"role": message.role, "content": message.content, **told}


def _sampling(request: GenerationRequest) -> Mapping[str, Any]:
    neutral = Sampling()
    values = {field.name: getattr(request.sampling, field.name) for field in fields(Sampling)}
    return {
        name: value
        for name, value in values.items()
        if value != getattr(neutral, name) or (name in EVERYWHERE and name not in request.open_sampling)
    }
