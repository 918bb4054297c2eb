"""An engine in a supervised worker process."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from attrs import define, field

from lmx.workers import wire
from lmx.workers.handle import RETRY_STOPPED_S, EngineState, OnChange, TextPlugins, WorkerSettings
from lmx.workers.piece_stream import PieceStream
from lmx.workers.progress import Progress
from lmx.workers.requests import Request, Requests, Running
from lmx.workers.session import Assignment, Session
from lmx.workers.supervisor import Stopped, Supervisor
from lmx_hookspecs.context import Logger
from lmx_hookspecs.embedding import EmbeddingRequest, Embeddings, RankedDocument, Reranking, RerankRequest
from lmx_hookspecs.engines import BackendSpec, EngineDescription
from lmx_hookspecs.errors import EngineFailed, Unavailable
from lmx_hookspecs.generation import GenerationRequest, Piece
from lmx_hookspecs.models import ModelInfo

RETRY_QUARANTINED_S = 60.0
"""When to come back for a model in quarantine: an operator has to let it out."""
MIN_RETRY_S = 1.0


@define(eq=False)
class ProcessEngine:
    """The EngineHandle of a backend with `isolation="process"`."""

    _spec: BackendSpec
    _plugin: str
    _plugin_config: Mapping[str, Any]
    _model: ModelInfo
    _settings: WorkerSettings
    _log: Logger
    _clock: Callable[[], float]
    _on_change: OnChange
    _interpreter: Path | None = None
    """Of the environment of its workers; None is ours."""
    _text_plugins: TextPlugins = MappingProxyType({})
    _requests: Requests = field(factory=Requests, init=False)
    _supervisor: Supervisor = field(init=False)
    _description: EngineDescription = field(init=False)
    """As the worker of the moment told it last."""

    def __attrs_post_init__(self) -> None:
        self._supervisor = Supervisor(
            Assignment(
                plugin=self._plugin,
                load=self._load_frame(),
                settings=self._settings,
                environment=self._spec.environment,
                interpreter=self._interpreter,
            ),
            {"model": self._model.id},
            self,
            self._log,
            self._clock,
            self._on_change,
        )

    @property
    def state(self) -> EngineState:
        """Where it is in its life."""
        return self._supervisor.state

    async def start(self) -> EngineDescription:
        """Start a worker and load the model in it."""
        try:
            await self._supervisor.start()
        except Stopped:
            raise self._unavailable() from None
        return self._description

    def take(self, frame: Any) -> None:
        """A frame from the worker."""
        self._requests.take(frame)

    def connect(self, session: Session) -> None:
        """The worker is ready."""
        self._description = wire.description_from_wire(session.description)
        self._requests.connect(session.worker.send)

    def disconnect(self, reason: str, detail: str) -> None:
        """The worker is dead."""
        self._requests.disconnect(reason, detail)

    def give_up(self) -> None:
        """None will follow."""
        self._requests.fail_all(self._unavailable())

    def generate(self, request: GenerationRequest, progress: Progress | None = None) -> "SentRequest":
        """The pieces of all choices; sent at once, or as soon as there is a worker again."""
        if self.state in {EngineState.STOPPED, EngineState.QUARANTINED}:
            raise self._unavailable()
        return SentRequest(self._requests, self._requests.submit(request, progress))

    async def count_tokens(self, request: GenerationRequest) -> int:
        """The worker's count; the same holds as for embeddings."""
        _, rest = await self._whole(request, "count")
        return int(rest["prompt_tokens"])

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """All vectors at once; waits for a worker as `generate` does, and goes to another one when this one dies."""
        vectors, rest = await self._whole(request)
        if len(vectors) != len(request.inputs):
            raise EngineFailed(f"the engine gave {len(vectors)} vectors for {len(request.inputs)} inputs")
        return Embeddings(vectors=vectors, **rest)

    async def rerank(self, request: RerankRequest) -> Reranking:
        """The best documents first; the same holds."""
        _, rest = await self._whole(request)
        results = [RankedDocument(index, score) for index, score in rest["results"]]
        return Reranking(**{**rest, "results": results})

    async def stats(self) -> EngineDescription:
        """What the engine says of itself, between two steps."""
        self._description = wire.description_from_wire(await self._loaded().call("describe"))
        return self._description

    def describe(self) -> Mapping[str, Any]:
        """State, deaths, and what the last beat said."""
        facts = {
            "model": self._model.id,
            "backend": self._spec.name,
            "isolation": "process",
            **({"interpreter": str(self._interpreter)} if self._interpreter else {}),
            "state": self.state,
            "reason": self._supervisor.detail,
            "deaths": self._supervisor.deaths.total,
            "running": self._requests.running,
            "waiting": self._requests.waiting,
        }
        session = self._supervisor.session
        if self.state is not EngineState.READY or not session:
            return facts
        pulse = session.pulse
        return {
            **facts,
            "pid": session.worker.pid,
            "missed_beats": pulse.missed,
            "step_age_s": pulse.step_age_s,
            "pending": pulse.pending,
            "details": self._description.details,
        }

    async def stop(self, grace_s: float | None = None) -> None:
        """End the worker: asked, then told, then killed."""
        await self._supervisor.stop(grace_s)

    async def _whole(
        self, request: Request, frame: str | None = None
    ) -> tuple[Sequence[Sequence[float]], Mapping[str, Any]]:
        if self.state in {EngineState.STOPPED, EngineState.QUARANTINED}:
            raise self._unavailable()
        running = self._requests.submit_whole(request, frame)
        try:
            return await running.stream.get()
        finally:
            self._requests.withdraw(running)

    def _load_frame(self) -> Mapping[str, Any]:
        return {
            "plugin": self._plugin,
            "backend": self._spec.name,
            "config": self._plugin_config,
            "model": self._model,
            "stream_interval_s": self._settings.stream_interval_ms / 1000,
            "text_plugins": self._text_plugins,
        }

    def _loaded(self) -> Session:
        if self._supervisor.session is None:
            raise self._unavailable()
        return self._supervisor.session

    def _unavailable(self) -> Unavailable:
        name, reason = self._model.id, self._supervisor.reason
        if self.state is EngineState.QUARANTINED:
            return Unavailable(
                f"model '{name}' is quarantined: {reason}; unload it and load it again once that is mended",
                code="model_quarantined",
                retry_after_s=RETRY_QUARANTINED_S,
            )
        if self.state is EngineState.STOPPED:
            code, retry_after_s = "model_draining", RETRY_STOPPED_S
        else:
            code, retry_after_s = "model_loading", max(MIN_RETRY_S, self._supervisor.back_in_s)
        return Unavailable(f"model '{name}' is {self.state}: {reason}", code=code, retry_after_s=retry_after_s)


@define(eq=False)
class SentRequest:
    """The pieces of a request on its way; no generator, for one that was never started does not clean up."""

    _requests: Requests
    _running: Running[PieceStream]
    _ended: bool = False

    def __aiter__(self) -> "SentRequest":
        return self

    async def __anext__(self) -> Piece:
        if self._ended:
            raise StopAsyncIteration
        try:
            piece = await self._running.stream.get()
        except BaseException:
            await self.aclose()
            raise
        if piece.usage is not None:
            await self.aclose()
        return piece

    async def aclose(self) -> None:
        """Cancel what is left of it."""
        if not self._ended:
            self._ended = True
            self._requests.withdraw(self._running)
