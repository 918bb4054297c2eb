"""The bodies that clients send, as they come over the wire."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from attrs import frozen

from lmx_hookspecs import option
from lmx_hookspecs.generation import ContextPolicy, Role

MAX_MODEL = 1024
"""Characters of a model's name."""
MAX_CHOICES = 16
MAX_STOPS = 4
MAX_PROMPTS = 128
MAX_ALTERNATIVES = 20
MAX_INPUTS = 2048
MAX_DOCUMENTS = 2048
MAX_TOOLS = 512


@frozen(kw_only=True)
class StreamOptions:
    """What a stream brings beside its text."""

    include_usage: bool | None = option(None, "a last chunk with the token counts")
    include_obfuscation: Literal[False] | None = option(None, "padding against eavesdroppers; never added")


@frozen(kw_only=True)
class SharedFields:
    """What both endpoints take; inherited, because a JSON body is flat."""

    model: str = option(doc="a model id or alias of GET /v1/models, or auto", min_length=1, max_length=MAX_MODEL)
    stream: bool | None = option(None, "answer with server-sent events; default false")
    stream_options: StreamOptions | None = None
    n: int | None = option(None, "choices per prompt; default 1", ge=1, le=MAX_CHOICES)
    max_tokens: int | None = option(None, "tokens to generate; default what is left of the context", ge=1)
    stop: str | Sequence[str] | None = option(None, f"up to {MAX_STOPS} strings that end the answer")
    temperature: float | None = option(None, "0 is greedy; default: what the model asks for, else 0.7", ge=0, le=2)
    top_p: float | None = option(None, "default 1", ge=0, le=1)
    top_k: int | None = option(None, "keep the k likeliest tokens; default 0 keeps all", ge=0)
    min_p: float | None = option(None, "drop tokens below this share of the likeliest; default 0", ge=0, le=1)
    repetition_penalty: float | None = option(None, "default 1", gt=0, le=2)
    presence_penalty: float | None = option(None, "default 0", ge=-2, le=2)
    frequency_penalty: float | None = option(None, "default 0", ge=-2, le=2)
    logit_bias: Mapping[int, float] | None = option(None, "token id to a bias between -100 and 100")
    seed: int | None = option(None, "the same seed draws the same tokens")
    num_ctx: int | None = option(None, "context to use, in tokens", ge=512, le=131072)
    grammar: str | None = option(None, "what the answer must be, in Lark's notation or in GBNF", min_length=1)
    regex: str | None = option(None, "a regular expression that the whole answer must match", min_length=1)
    choice: Sequence[str] | None = option(None, "texts of which the answer must be one", min_length=1)

    @property
    def wants_usage(self) -> bool:
        """Whether a stream shall end with the token counts."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)


@frozen(kw_only=True)
class CalledFunction:
    """A function that the model called."""

    name: str = option(min_length=1)
    arguments: str = option(doc="JSON text")
    parsed_arguments: Any = option(None, "left over from a client that parsed them; ignored")


@frozen(kw_only=True)
class ToolCall:
    """A call in an earlier answer of the model."""

    id: str = option(min_length=1)
    type: Literal["function"] = "function"
    function: CalledFunction
    index: int | None = option(None, "left over from a stream; ignored")
    provider_specific_fields: Mapping[str, Any] | None = option(None, "left over from LiteLLM; ignored")


@frozen(kw_only=True)
class ChatMessage:
    """One message. Fields of earlier answers come back as they were, so those without a meaning here may be null."""

    role: Role
    content: str | Sequence[Mapping[str, Any]] | None = option(None, "text, or parts of type text")
    name: str | None = None
    tool_calls: Sequence[ToolCall] | None = None
    tool_call_id: str | None = option(None, "of a tool's result: the call that it answers")
    reasoning_content: str | None = option(None, "of an earlier answer; the model's template decides what it is for")
    refusal: str | None = option(None, "of an earlier answer; not shown to the model again")
    annotations: Sequence[Any] | None = option(None, "of an earlier answer; not shown to the model again")
    parsed: Any = option(None, "left over from a client that parsed the content of an earlier answer; ignored")
    provider_specific_fields: Mapping[str, Any] | None = option(None, "left over from LiteLLM; ignored")
    audio: None = None
    function_call: None = None


@frozen(kw_only=True)
class ChatRequest(SharedFields):
    """The body of POST /v1/chat/completions."""

    messages: Sequence[ChatMessage] = option(min_length=1)
    max_completion_tokens: int | None = option(None, "the newer name of max_tokens", ge=1)
    logprobs: bool | None = option(None, "log-probabilities of the generated tokens")
    top_logprobs: int | None = option(None, "alternatives beside each token", ge=0, le=MAX_ALTERNATIVES)
    tools: Sequence[Mapping[str, Any]] | None = option(None, "functions that the model may call", max_length=MAX_TOOLS)
    tool_choice: str | Mapping[str, Any] | None = option(None, "auto, none, required, or one function")
    parallel_tool_calls: bool | None = option(None, "false: at most one call; default true")
    thinking_budget: int | None = option(None, "tokens after which the model's reasoning is ended", ge=0)
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = option(
        None, "how much the model is to think, where its template knows that"
    )
    response_format: Mapping[str, Any] | None = option(None, "text, json_object or json_schema")
    chat_template_kwargs: Mapping[str, Any] | None = option(None, "arguments for the model's chat template")
    context_policy: ContextPolicy | None = option(
        None, "of a chat longer than the context: error, the default, refuses it, trim leaves out old messages"
    )


@frozen(kw_only=True)
class CompletionRequest(SharedFields):
    """The body of POST /v1/completions."""

    prompt: str | Sequence[int] | Sequence[str] | Sequence[Sequence[int]] = option(
        doc=f"a text, a list of token ids, or a list of up to {MAX_PROMPTS} of either"
    )
    suffix: str | None = option(None, "what comes after the answer")
    echo: bool | None = option(None, "repeat the prompt before the answer")
    logprobs: int | None = option(None, "alternatives beside each token", ge=0, le=MAX_ALTERNATIVES)


@frozen(kw_only=True)
class EmbeddingsRequest:
    """The body of POST /v1/embeddings."""

    model: str = option(doc="a model id or alias of GET /v1/models, or auto", min_length=1, max_length=MAX_MODEL)
    input: str | Sequence[int] | Sequence[str] | Sequence[Sequence[int]] = option(
        doc=f"a text, a list of token ids, or a list of up to {MAX_INPUTS} of either"
    )
    encoding_format: Literal["float", "base64"] | None = option(
        None, "base64 is that of little-endian 32-bit floats; default float"
    )
    dimensions: int | None = option(None, "length of the vectors, for models that can shorten them", ge=1)


@frozen(kw_only=True)
class RerankingRequest:
    """The body of POST /v1/rerank."""

    model: str = option(doc="a model id or alias of GET /v1/models, or auto", min_length=1, max_length=MAX_MODEL)
    query: str = option(doc="what the documents are to answer")
    documents: Sequence[str | Mapping[str, Any]] = option(
        doc="texts, or objects with a `text`", min_length=1, max_length=MAX_DOCUMENTS
    )
    top_n: int | None = option(None, "at most so many results; default all", ge=1)
    return_documents: bool | None = option(None, "repeat the texts in the results; default true")
