"""The shapes of whole answers, as the OpenAPI document shows them; `gather.py` fills them as plain data."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from attrs import frozen

from lmx_hookspecs.generation import FinishReason


@frozen(kw_only=True)
class PromptDetails:
    """Where the prompt's tokens came from."""

    cached_tokens: int


@frozen(kw_only=True)
class CompletionDetails:
    """What the answer's tokens were for."""

    reasoning_tokens: int


@frozen(kw_only=True)
class TokenUsage:
    """Token counts, from the tokenizer."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails | None = None


@frozen(kw_only=True)
class AnswerMessage:
    """What the model said."""

    role: Literal["assistant"]
    content: str | None
    reasoning_content: str | None = None
    tool_calls: Sequence[Mapping[str, Any]] | None = None


@frozen(kw_only=True)
class ChatChoice:
    """One answer to a chat."""

    index: int
    message: AnswerMessage
    logprobs: Mapping[str, Any] | None
    finish_reason: FinishReason


@frozen(kw_only=True)
class ChatCompletion:
    """The answer of POST /v1/chat/completions."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: Sequence[ChatChoice]
    usage: TokenUsage
    warnings: Sequence[str] = ()


@frozen(kw_only=True)
class CompletionChoice:
    """One continuation of a prompt."""

    index: int
    text: str
    logprobs: Mapping[str, Any] | None
    finish_reason: FinishReason


@frozen(kw_only=True)
class Completion:
    """The answer of POST /v1/completions."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: Sequence[CompletionChoice]
    usage: TokenUsage
    warnings: Sequence[str] = ()


@frozen(kw_only=True)
class Embedding:
    """One vector, as numbers or in base64."""

    object: Literal["embedding"]
    index: int
    embedding: Sequence[float] | str


@frozen(kw_only=True)
class EmbeddingUsage:
    """Token counts of all inputs."""

    prompt_tokens: int
    total_tokens: int


@frozen(kw_only=True)
class EmbeddingList:
    """The answer of POST /v1/embeddings."""

    object: Literal["list"]
    data: Sequence[Embedding]
    model: str
    usage: EmbeddingUsage
    warnings: Sequence[str] = ()


@frozen(kw_only=True)
class RankedText:
    """A document, repeated."""

    text: str


@frozen(kw_only=True)
class RankedResult:
    """A document by its place in the request, and how relevant it is."""

    index: int
    relevance_score: float
    document: RankedText | None = None


@frozen(kw_only=True)
class RerankUsage:
    """Tokens of the query and the documents."""

    total_tokens: int


@frozen(kw_only=True)
class RerankAnswer:
    """The answer of POST /v1/rerank, the most relevant first."""

    results: Sequence[RankedResult]
    model: str
    usage: RerankUsage
    warnings: Sequence[str] = ()
