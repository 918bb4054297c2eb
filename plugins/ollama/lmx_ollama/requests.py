"""The bodies that clients send, as they come over the wire."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from attrs import frozen

from lmx_hookspecs import option

MAX_MODEL = 1024
"""Characters of a model's name."""
MAX_INPUTS = 2048
MAX_TOOLS = 512
MAX_ALTERNATIVES = 20
NAME = "a model of GET /api/tags; `:latest` may be left out"
Think = bool | Literal["low", "medium", "high"]


@frozen(kw_only=True)
class SharedFields:
    """What chats and completions take; inherited, because a JSON body is flat."""

    model: str = option(doc=NAME, min_length=1, max_length=MAX_MODEL)
    stream: bool | None = option(None, "answer with one JSON object a line; default true")
    format: str | Mapping[str, Any] | None = option(None, "json, or a JSON schema that the answer must fit")
    options: Mapping[str, Any] | None = option(None, "num_predict, num_ctx, temperature, top_k, top_p, min_p, …")
    keep_alive: float | int | str | None = option(
        None, 'how long the model stays loaded: seconds or "5m", 0 unloads it, negative keeps it'
    )
    think: Think | None = option(None, "whether the model is to think first, or how much")
    truncate: bool | None = option(
        None, "leave out the oldest messages of a chat that does not fit the context; false makes that an error"
    )
    logprobs: bool | None = option(None, "log-probabilities of the generated tokens")
    top_logprobs: int | None = option(None, "alternatives beside each token", ge=0, le=MAX_ALTERNATIVES)


@frozen(kw_only=True)
class CalledFunction:
    """A function that the model called."""

    name: str = option(min_length=1)
    arguments: Mapping[str, Any] = option(factory=dict)
    index: int | None = None
    description: str | None = None


@frozen(kw_only=True)
class ToolCall:
    """A call in an earlier answer of the model."""

    function: CalledFunction
    id: str | None = None
    type: Literal["function"] | None = None


@frozen(kw_only=True)
class ChatMessage:
    """One message."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    thinking: str | None = None
    images: Sequence[str] | None = option(None, "refused: the models here read text only")
    tool_calls: Sequence[ToolCall] | None = None
    tool_name: str | None = option(None, "of a tool's result: the tool")
    tool_call_id: str | None = option(None, "of a tool's result: the call, where it had an id")
    name: str | None = option(None, "an older name of tool_name")


@frozen(kw_only=True)
class ChatBody(SharedFields):
    """The body of POST /api/chat; without messages it loads or unloads the model."""

    messages: Sequence[ChatMessage] | None = None
    tools: Sequence[Mapping[str, Any]] | None = option(None, "functions that the model may call", max_length=MAX_TOOLS)


@frozen(kw_only=True)
class GenerateBody(SharedFields):
    """The body of POST /api/generate; without a prompt it loads or unloads the model."""

    prompt: str | None = None
    suffix: str | None = option(None, "what comes after the answer")
    system: str | None = option(None, "the system message")
    raw: bool | None = option(None, "the prompt as it is, without the model's template")
    template: str | None = option(None, "refused: templates here are the model's own")
    context: Sequence[int] | None = option(None, "refused: send the conversation to /api/chat")
    images: Sequence[str] | None = option(None, "refused: the models here read text only")


@frozen(kw_only=True)
class EmbedBody:
    """The body of POST /api/embed."""

    model: str = option(doc=NAME, min_length=1, max_length=MAX_MODEL)
    input: str | Sequence[str] = option(doc=f"a text, or up to {MAX_INPUTS}")
    truncate: bool | None = option(None, "accepted; an input longer than the context is an error all the same")
    dimensions: int | None = option(None, "length of the vectors, for models that can shorten them", ge=1)
    options: Mapping[str, Any] | None = None
    keep_alive: float | int | str | None = option(None, "how long the model stays loaded")


@frozen(kw_only=True)
class EmbeddingsBody:
    """The body of POST /api/embeddings, the older way to embed one text."""

    model: str = option(doc=NAME, min_length=1, max_length=MAX_MODEL)
    prompt: str | None = None
    options: Mapping[str, Any] | None = None
    keep_alive: float | int | str | None = option(None, "how long the model stays loaded")


@frozen(kw_only=True)
class ShowBody:
    """The body of POST /api/show."""

    model: str | None = option(None, NAME, min_length=1, max_length=MAX_MODEL)
    name: str | None = option(None, "an older name of model", min_length=1, max_length=MAX_MODEL)
    verbose: bool | None = option(None, "accepted without effect")
