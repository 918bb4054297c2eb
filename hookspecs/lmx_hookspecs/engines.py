"""Engines: the recipe a backend plugin offers, and the two shapes an engine can have."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from attrs import field, frozen

from lmx_hookspecs.constraints import TokenMask
from lmx_hookspecs.context import WorkerContext
from lmx_hookspecs.generation import GenerationRequest, Message, Piece, Sampling
from lmx_hookspecs.memory import MemoryNeed
from lmx_hookspecs.models import ModelInfo


class Detokenizer(Protocol):
    """Turns a stream of token ids into text, holding back bytes that are not yet a whole character."""

    def add(self, token: int) -> str:
        """The text that this token completes; often empty for a piece of a character."""

    def finish(self) -> str:
        """What is still held back, with U+FFFD for a broken character."""


class Tokenizer(Protocol):
    """A model's tokenizer with its chat template."""

    @property
    def vocab_size(self) -> int:
        """Rows of the embedding matrix: every id below it is safe to feed to the model."""

    @property
    def eos_token_ids(self) -> frozenset[int]:
        """Ids that end a generation."""

    @property
    def special_token_ids(self) -> frozenset[int]:
        """Ids that stand for a mark and not for text, those that end a generation among them."""

    def encode(self, text: str) -> list[int]:
        """Token ids of a completion prompt, special tokens added as the model expects."""

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]],
        arguments: Mapping[str, Any],
        template: str | None = None,
    ) -> list[int]:
        """Token ids of a chat through the model's template, or through `template` in its place.

        Raises InvalidRequest where the template refuses. `template` comes with Capability.TEMPLATE_ARGUMENTS only.
        """

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of the ids, special tokens included."""

    def token_bytes(self, token: int) -> bytes:
        """The bytes that this token stands for."""

    def detokenizer(self) -> Detokenizer:
        """A fresh streaming detokenizer."""


@runtime_checkable
class TemplatedTokenizer(Tokenizer, Protocol):
    """A Tokenizer that shows its chat template, from which the model's dialect is found."""

    @property
    def chat_template(self) -> str:
        """The source of the model's template, or of all of them; empty where it has none."""


@frozen(kw_only=True)
class TokenRequest:
    """One row for a token-level engine; the worker host has checked every id and range."""

    tokens: Sequence[int]
    max_tokens: int
    sampling: Sampling
    logprobs: int | None = None
    mask: TokenMask | None = None
    """For engines with Capability.MASKS: asked before each draw, told each token drawn, in the thread that steps."""


@frozen(kw_only=True)
class TokenPiece:
    """What one step gave one row.

    A token that ends the generation (end of sequence) has `finish_reason="stop"` and is not part of the text.
    `finish_reason="error"` ends the row without a token; `error` says why.
    """

    id: int
    token: int | None = None
    logprob: float | None = None
    top: Sequence[tuple[int, float]] = ()
    cached_tokens: int = 0
    """On the first piece of a row: how many prompt tokens came out of the prefix cache."""
    finish_reason: Literal["stop", "length", "error"] | None = None
    error: str | None = None


@frozen(kw_only=True)
class EngineDescription:
    """What this engine can do with this model, exactly, once it is loaded."""

    context_length: int
    """0 where a text-level engine cannot tell."""
    capabilities: frozenset[str]
    memory_bytes: int
    """Measured, not estimated."""
    max_rows: int = 1
    """Rows that one step can advance together."""
    details: Mapping[str, Any] = field(factory=dict)
    """For people: caches, device, data type."""


class StepEngine(Protocol):
    """A token-level engine (`level="tokens"`). One thread loads it and makes every call."""

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer."""

    def add(self, row: int, request: TokenRequest) -> None:
        """Queue a row; raises InvalidRequest before anything of the engine has changed."""

    def cancel(self, row: int) -> None:
        """Forget a row in whatever stage it is; unknown rows are ignored."""

    def step(self) -> Sequence[TokenPiece]:
        """Advance prefill or decode by a bounded amount of work; an exception means the engine is beyond repair."""

    def describe(self) -> EngineDescription:
        """What it is and holds now."""

    def close(self) -> None:
        """Give back what the process end does not."""


@runtime_checkable
class TrimmableEngine(StepEngine, Protocol):
    """A StepEngine that keeps memory for reuse and can give it back."""

    def trim(self) -> None:
        """Give back what is only kept for reuse; called once each time that the engine has been idle for a while.

        An exception means what it means in a step.
        """


class TextEngine(Protocol):
    """A text-level engine (`level="text"`): it has its own tokenizer and loop, and runs on an asyncio loop."""

    def generate(self, request: GenerationRequest) -> AsyncIterator[Piece]:
        """The pieces of all choices; closing the iterator cancels. The last piece carries `usage`.

        An engine that knows how long the prompt is does well to say so first, in a piece with `prompt_tokens` alone.
        """

    def describe(self) -> EngineDescription:
        """What it is and holds now."""

    async def close(self) -> None:
        """End what runs and give everything back."""


@runtime_checkable
class CountingEngine(TextEngine, Protocol):
    """A TextEngine that can count a prompt without answering it; of a token-level engine the worker host does."""

    async def count_tokens(self, request: GenerationRequest) -> int:
        """The tokens of all prompts together: what the usage of that request would say. Raises what it would raise."""


@runtime_checkable
class LoopingEngine(TextEngine, Protocol):
    """A TextEngine with a loop of its own beside the asyncio loop; a worker watches it."""

    def steps(self) -> int:
        """How many it has made so far: a request that has to wait for its first piece is not stuck while this rises."""

    async def death(self) -> str:
        """Return once it is beyond repair, and say why: a worker then ends, so that another takes its place."""


@frozen(kw_only=True)
class BackendSpec:
    """A recipe for engines.

    `load` runs in the worker process (`isolation="process"`) or on the kernel's loop (`"inline"`), once per model,
    and may take its time only in the former; in the latter it is handed the plugin's whole Context. `environment`
    adds to the worker's environment: it is called in the kernel, so it must not import the engine.
    """

    name: str
    level: Literal["tokens", "text"]
    formats: frozenset[str]
    """Model formats it opens: `safetensors`, `gguf`, or one of its own."""
    capabilities: frozenset[str]
    load: Callable[[WorkerContext, ModelInfo], Any]
    """Returns a StepEngine or a TextEngine, as `level` says."""
    isolation: Literal["process", "inline"] = "process"
    score: int = 50
    """Among the backends that open a format, the highest score is chosen unless configuration names one."""
    environment: Callable[[], Mapping[str, str]] = field(default=dict)
    memory_need: Callable[[ModelInfo], MemoryNeed] | None = None
    """What the model will take; None reckons with its size on disk. Called in a thread of the kernel, so it must not
    import the engine. The kernel adds the adapter, and asks once more for the draft model."""
    settings: frozenset[str] = frozenset()
    """Names of model settings that the engine itself honours; a load that asks for others is refused. `adapters` stands
    for `ModelInfo.adapter`, `draft_model` for `ModelInfo.draft`."""
    warm_up: bool = True
    """Whether a first, short generation spares the next one something; false where the work is done elsewhere."""
    adopts: Callable[[Path], bool] | None = None
    """Whether it opens this folder or file, for formats that are not told by their name."""
