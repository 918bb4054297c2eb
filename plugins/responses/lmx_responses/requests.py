"""The body of POST /v1/responses and the query parameters of the other routes, as they come over the wire."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from attrs import frozen

from lmx_hookspecs import option

MAX_MODEL = 1024
"""Characters of a model's name."""
MAX_TOOLS = 512
MAX_ALTERNATIVES = 20
MAX_ITEMS = 10_000
MAX_ID = 128
MAX_PAGE = 100
PAGE = 20


@frozen(kw_only=True)
class StreamOptions:
    """How a stream is written."""

    include_obfuscation: Literal[False] | None = option(None, "padding against eavesdroppers; never added")


@frozen(kw_only=True)
class ReasoningOptions:
    """How much the model thinks, and what of it is told."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = option(
        None, "how much the model is to think, where its template knows that"
    )
    summary: Literal["auto", "concise", "detailed"] | None = option(
        None, "there are no summaries: the reasoning itself is told, and a warning"
    )
    generate_summary: Literal["auto", "concise", "detailed"] | None = option(None, "the older name of summary")


@frozen(kw_only=True)
class TextOptions:
    """What the text of the answer is to be."""

    format: Mapping[str, Any] | None = option(None, "of type text, json_object or json_schema")
    verbosity: Literal["low", "medium", "high"] | None = option(None, "medium, or left out: models cannot be told")


@frozen(kw_only=True)
class ResponseRequest:
    """The body of POST /v1/responses."""

    model: str = option(doc="a model id or alias of GET /v1/models, or auto", min_length=1, max_length=MAX_MODEL)
    input: str | Sequence[Mapping[str, Any]] | None = option(
        None, "a text, or items: messages, function calls and their results, reasoning, references"
    )
    instructions: str | None = option(None, "what the model is told before everything else")
    previous_response_id: str | None = option(None, "the response that this one goes on from", max_length=MAX_ID)
    tools: Sequence[Mapping[str, Any]] | None = option(
        None, "functions that the model may call, and file_search", max_length=MAX_TOOLS
    )
    tool_choice: str | Mapping[str, Any] | None = option(
        None, "auto, none, required, one function, file_search, or allowed_tools"
    )
    parallel_tool_calls: bool | None = option(None, "false: at most one call; default true")
    max_tool_calls: int | None = option(None, "searches of file_search at most", ge=1)
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    include: Sequence[str] | None = option(
        None, "message.output_text.logprobs, file_search_call.results", max_length=32
    )
    max_output_tokens: int | None = option(
        None, "tokens to generate, reasoning among them; default what is left of the context", ge=1
    )
    temperature: float | None = option(None, "0 is greedy; default: what the model asks for, else 0.7", ge=0, le=2)
    top_p: float | None = option(None, "default 1", ge=0, le=1)
    top_logprobs: int | None = option(None, "alternatives beside each token", ge=0, le=MAX_ALTERNATIVES)
    truncation: Literal["auto", "disabled"] | None = option(
        None, "of a conversation longer than the context: disabled, the default, refuses it, auto leaves out old items"
    )
    store: bool | None = option(None, "keep the response; default true")
    background: bool | None = option(None, "answer at once, and make the response without the client; default false")
    stream: bool | None = option(None, "answer with server-sent events; default false")
    stream_options: StreamOptions | None = None
    metadata: Mapping[str, str] | None = option(None, "up to 16 texts that come back with the response")
    user: str | None = option(None, "without effect")
    safety_identifier: str | None = option(None, "without effect")
    prompt_cache_key: str | None = option(None, "without effect: prompts are found by what is in them")
    service_tier: str | None = option(None, "without effect: there is one tier, default")
    top_k: int | None = option(None, "keep the k likeliest tokens; default 0 keeps all", ge=0)
    min_p: float | None = option(None, "drop tokens below this share of the likeliest; default 0", ge=0, le=1)
    repetition_penalty: float | None = option(None, "default 1", gt=0, le=2)
    presence_penalty: float | None = option(None, "default 0", ge=-2, le=2)
    frequency_penalty: float | None = option(None, "default 0", ge=-2, le=2)
    seed: int | None = option(None, "the same seed draws the same tokens")
    num_ctx: int | None = option(None, "context to use, in tokens", ge=512, le=131072)
    thinking_budget: int | None = option(None, "tokens after which the model's reasoning is ended", ge=0)
    chat_template_kwargs: Mapping[str, Any] | None = option(None, "arguments for the model's chat template")


@frozen(kw_only=True)
class NoBody:
    """Nothing: SDKs send an empty object, or no body at all."""
