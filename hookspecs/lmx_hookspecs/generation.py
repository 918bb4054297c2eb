"""What a generation is asked for with, and what comes out of it, piece by piece."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Literal, Protocol

from attrs import field, frozen

Role = Literal["system", "developer", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
Priority = Literal["high", "normal", "low"]
ContextPolicy = Literal["error", "trim"]


@frozen(kw_only=True)
class Message:
    """One chat message; `content` is text, or OpenAI content parts where the backend can read them."""

    role: Role
    content: str | Sequence[Mapping[str, Any]] | None = None
    name: str | None = None
    tool_calls: Sequence[Mapping[str, Any]] = ()
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    """Of an earlier answer: templates decide whether the model sees it again."""


@frozen(kw_only=True)
class Sampling:
    """How the next token is drawn. Each default is neutral apart from `temperature`, whose 0.7 clients rely on."""

    temperature: float = 0.7
    top_p: float = 1.0
    top_k: int = 0
    """Keep the k likeliest tokens; 0 keeps all."""
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(factory=dict)
    seed: int | None = None


@frozen(kw_only=True)
class GenerationRequest:
    """A request that a surface has parsed and validated.

    Exactly one of `messages` and `prompts` is set. Choice `index = prompt_index * n + k`. Fields keep the names of
    the OpenAI API, so that an error can name the one at fault.
    """

    model: str
    messages: Sequence[Message] | None = None
    prompts: Sequence[str | Sequence[int]] = ()
    """Completion prompts: text, or token ids."""
    n: int = 1
    max_tokens: int | None = None
    """None: what is left of the context."""
    stop: Sequence[str] = ()
    """They end the text that the client sees; inside reasoning and tool calls they mean nothing."""
    sampling: Sampling = field(factory=Sampling)
    open_sampling: frozenset[str] = frozenset()
    """Fields of `sampling` that the client left open: those of a preset, or the model's own, take their place."""
    explicit: frozenset[str] = frozenset()
    """Other fields that the client set, even to what they are anyway, such as `stop: []`: no preset fills them."""
    logprobs: int | None = None
    """How many alternatives are reported beside each token's own log-probability (0..20); None reports nothing."""
    echo: bool = False
    suffix: str | None = None
    num_ctx: int | None = None
    context_policy: ContextPolicy = "error"
    """A chat longer than the context: `error` refuses it, `trim` leaves out old messages."""
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: str | Mapping[str, Any] | None = None
    """A call that the model has to make: `required`, or the one function; None leaves it to the model."""
    parallel_tool_calls: bool = True
    reasoning_effort: str | None = None
    thinking_budget: int | None = None
    """Tokens after which reasoning is ended."""
    response_format: Mapping[str, Any] | None = None
    grammar: str | None = None
    """In Lark's notation or in GBNF. At most one of `response_format`, `grammar`, `regex` and `choice` is set."""
    regex: str | None = None
    choice: Sequence[str] = ()
    """The texts that the answer may be."""
    chat_template_kwargs: Mapping[str, Any] = field(factory=dict)
    chat_template: str | None = None
    """A template that takes the place of the model's own; presets set it, clients cannot."""

    request_id: str = ""
    surface: str = ""
    stream: bool = False
    priority: Priority = "normal"
    key: str | None = None
    client: str | None = None
    timeout_s: float | None = None
    lenient: bool = False
    """True: fields that the backend lacks are dropped and reported, instead of refused."""
    dispensable: frozenset[str] = frozenset()
    """Fields that are dropped and reported so for any client: what it asked for is only a wish.

    With `max_tokens` among them, one above the context is what is left of it, and no error.
    """
    exact: bool = False
    """Only the models that `model` stands for may answer, none of their fallbacks."""

    @property
    def choices(self) -> int:
        """How many rows this request puts into the engine."""
        return self.n * max(1, len(self.prompts))


@frozen
class TokenLogprob:
    """A token as the vocabulary writes it, its log-probability, and the likeliest alternatives at its place."""

    token: str
    token_bytes: bytes
    logprob: float
    top: Sequence["TokenLogprob"] = ()


@frozen(kw_only=True)
class ToolCallDelta:
    """A fragment of a tool call: `id` and `name` come first, then pieces of the JSON text of its arguments."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


@frozen(kw_only=True)
class Usage:
    """Token counts of a whole request, from the tokenizer, and where its time went inside the engine."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int | None = None
    """Of the completion tokens; None where nobody tells them apart."""
    prefill_s: float = 0.0
    """From arrival in the engine's queue to the first token."""
    decode_s: float = 0.0
    """From the first token to the last."""
    counted: bool = True
    """False where nobody counted: prompt_tokens is 0 then, and completion_tokens how many pieces there were."""


@frozen(kw_only=True)
class Piece:
    """What one engine step adds to one choice. The last piece of a request carries `usage`."""

    index: int = 0
    text: str = ""
    reasoning: str = ""
    tool_calls: Sequence[ToolCallDelta] = ()
    logprobs: Sequence[TokenLogprob] = ()
    tokens: int = 0
    """How many tokens this piece stands for; its text may still be held back."""
    finish_reason: FinishReason | None = None
    stop: str | None = None
    """The stop string that ended the choice, beside `finish_reason`; None also where the engine does not tell."""
    usage: Usage | None = None
    warnings: Sequence[str] = ()
    """What the engine's side has left out or done otherwise; they become those of the generation."""
    prompt_tokens: int = 0
    """How many tokens all prompts have, on a piece that an engine may send before any other, as soon as it has begun
    with them: so it is known what a request took that ends without `usage`."""


@frozen(kw_only=True)
class TokenCount:
    """How many tokens the prompts of a request have, for the model that would answer it."""

    prompt_tokens: int
    model: str
    served_by: str
    """The backend or node and the model that counted."""


class Generation(Protocol):
    """An admitted request. Iterate it to the end, or `aclose()` it: both free its place and cancel what still runs.

    It ends with its time limit as well, whether anybody reads it or not.
    """

    @property
    def model(self) -> str:
        """The id of the model that answers, after presets, aliases and fallbacks; final with the first piece."""

    @property
    def served_by(self) -> str:
        """`<backend or node>/<model>` of what answers: the header `X-LMX-Served-By`; final when `model` is."""

    @property
    def warnings(self) -> Sequence[str]:
        """What was dropped from the request or its messages; complete once the last piece has come."""

    @property
    def prompt_tokens(self) -> int:
        """How many tokens all prompts have; 0 until the engine has said so, which it may only do with the usage."""

    def __aiter__(self) -> AsyncIterator[Piece]:
        """The pieces of all choices in the order in which the engine made them."""

    async def __anext__(self) -> Piece:
        """The next piece; raises an `LmxError` where the request fails."""

    async def aclose(self) -> None:
        """Cancel what still runs and free the place; a no-op afterwards."""
