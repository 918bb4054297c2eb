"""The bodies that clients send, as they come over the wire."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from attrs import frozen

from lmx_hookspecs import option

MAX_MODEL = 1024
"""Characters of a model's name."""
MAX_STOPS = 64
MAX_TOOLS = 512
Blocks = Sequence[Mapping[str, Any]]


@frozen(kw_only=True)
class WireMessage:
    """One turn: text, or content blocks."""

    role: Literal["user", "assistant", "system"]
    content: str | Blocks


@frozen(kw_only=True)
class PromptFields:
    """What makes the prompt, for both endpoints; inherited, because a JSON body is flat."""

    model: str = option(doc="a model id or alias of GET /v1/models, or auto", min_length=1, max_length=MAX_MODEL)
    messages: Sequence[WireMessage] = option(doc="the turns of the chat, the newest last", min_length=1)
    system: str | Blocks | None = option(None, "instructions: text, or blocks of type text")
    tools: Blocks | None = option(None, "tools that the model may call, with their input_schema", max_length=MAX_TOOLS)
    tool_choice: Mapping[str, Any] | None = option(None, "of type auto, any, tool or none")
    thinking: Mapping[str, Any] | None = option(None, "of type enabled, adaptive or disabled")
    output_config: Mapping[str, Any] | None = option(None, "effort, and a format of type json_schema")


@frozen(kw_only=True)
class MessagesRequest(PromptFields):
    """The body of POST /v1/messages."""

    max_tokens: int = option(doc="tokens to generate at most", ge=1)
    stream: bool | None = option(None, "answer with server-sent events; default false")
    stop_sequences: Sequence[str] | None = option(None, "strings that end the answer", max_length=MAX_STOPS)
    temperature: float | None = option(None, "0 is greedy; default: what the model asks for, else 0.7", ge=0, le=1)
    top_p: float | None = option(None, "default 1", ge=0, le=1)
    top_k: int | None = option(None, "keep the k likeliest tokens; default 0 keeps all", ge=0)


@frozen(kw_only=True)
class CountRequest(PromptFields):
    """The body of POST /v1/messages/count_tokens."""
