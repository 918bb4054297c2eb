"""What the kernel holds of a loaded model, wherever its engine runs."""

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol

from lmx.workers.progress import Progress
from lmx_hookspecs.embedding import EmbeddingRequest, Embeddings, Reranking, RerankRequest
from lmx_hookspecs.engines import EngineDescription
from lmx_hookspecs.errors import EngineFailed, UnsupportedParameter
from lmx_hookspecs.generation import GenerationRequest, Piece


class EngineState(StrEnum):
    """The states of an engine; only `restarting` and `quarantined` are reached without being asked for."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    QUARANTINED = "quarantined"


RETRY_STOPPED_S = 5.0
"""When to come back for an engine that is unloaded: another one may have taken its place."""

TextPlugins = Mapping[str, Sequence[str]]
"""By hook, `lmx_dialects` and `lmx_constraints`: the plugins from which a token-level engine gets these."""
OnChange = Callable[[EngineState, str], None]
"""Told the new state and why, in words for operators; called on the loop, must neither block nor raise."""


COUNT = "count tokens without answering"


class Deadly(EngineFailed):
    """The request was running in two crashes: whatever took it next would crash as well."""


def unable(model_id: str, what: str) -> UnsupportedParameter:
    """The answer of an engine that does not do that."""
    return UnsupportedParameter(f"model {model_id!r} cannot {what}; ask another one", param="model")


def ignore_change(state: EngineState, reason: str) -> None:
    """Nobody listens."""


class WorkerSettings(Protocol):
    """The configuration section `workers`."""

    @property
    def step_timeout_sec(self) -> float:
        """A step older than this, with work pending, is wedged."""

    @property
    def heartbeat_interval_s(self) -> float:
        """How often a worker beats; three missed beats are silence."""

    @property
    def stream_interval_ms(self) -> float:
        """How often pieces in mid-answer leave a worker, in milliseconds."""

    @property
    def restart_pause_s(self) -> float:
        """The pause before the first restart; each further death doubles it."""

    @property
    def max_restart_pause_s(self) -> float:
        """The longest pause before a restart."""

    @property
    def quarantine_after(self) -> int:
        """So many deaths within the window take the model out of service."""

    @property
    def quarantine_window_s(self) -> float:
        """How long a death counts."""

    @property
    def stop_grace_s(self) -> float:
        """How long a worker may take to end when asked, unless `stop` says otherwise."""

    @property
    def start_timeout_s(self) -> float:
        """How long a load may take."""


class Pieces(Protocol):
    """The pieces of one request, for one reader: an async iterator that has to be closed."""

    def __aiter__(self) -> AsyncIterator[Piece]: ...

    def __anext__(self) -> Coroutine[Any, Any, Piece]: ...

    def aclose(self) -> Coroutine[Any, Any, None]:
        """Cancel what is left; not while somebody waits for the next piece."""


class EngineHandle(Protocol):
    """One model's engine: started once, stopped once."""

    @property
    def state(self) -> EngineState:
        """Where it is in its life."""

    async def start(self) -> EngineDescription:
        """Load the model; raises the LmxError it ended in. Cancelling it leaves nothing behind."""

    def generate(self, request: GenerationRequest, progress: Progress | None = None) -> Pieces:
        """The pieces of all choices, the last with `usage`; `aclose()` cancels in whatever stage the request is.

        Raises the request's own LmxError; EngineFailed where the engine died on it, Deadly where two did; Unavailable
        where there is none; TimedOut where the engine was not back within `timeout_s`. A request with `stream=False`
        gets its pieces merged, at the end, so that it can be tried again until then. `progress` is told of what the
        engine has made, and of its end of the matter, which may be long before the caller's: pieces wait to be read.
        """

    async def count_tokens(self, request: GenerationRequest) -> int:
        """The tokens of all its prompts; raises like `embed`."""

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """All vectors at once; raises like `generate`, and UnsupportedParameter where the engine embeds nothing."""

    async def rerank(self, request: RerankRequest) -> Reranking:
        """The best documents first; raises like `embed`."""

    async def stats(self) -> EngineDescription:
        """What the engine says of itself now."""

    def describe(self) -> Mapping[str, Any]:
        """Plain facts for operators, without asking the engine; `reason` may quote what the engine wrote."""

    async def stop(self, grace_s: float | None = None) -> None:
        """End the engine; what still runs fails as Unavailable. Afterwards nothing of it is left."""
