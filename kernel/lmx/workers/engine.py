"""An engine in a supervised worker process: what dies is started again, until it has died too often."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from attrs import define, field

from lmx.workers import wire
from lmx.workers.deaths import Deaths
from lmx.workers.handle import RETRY_STOPPED_S, EngineState, OnChange, TextPlugins, WorkerSettings
from lmx.workers.progress import Progress
from lmx.workers.requests import Request, Requests
from lmx.workers.session import Assignment, Session
from lmx_hookspecs.context import Logger
from lmx_hookspecs.embedding import EmbeddingRequest, Embeddings, RankedDocument, Reranking, RerankRequest
from lmx_hookspecs.engines import BackendSpec, EngineDescription
from lmx_hookspecs.errors import EngineFailed, LmxError, Unavailable
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
    state: EngineState = field(default=EngineState.STOPPED, init=False)
    _reason: str = field(default="not started", init=False)
    _detail: str = field(default="not started", init=False)
    """The reason as operators get it."""
    _restart_at_s: float = field(default=0.0, init=False)
    _requests: Requests = field(factory=Requests, init=False)
    _deaths: Deaths = field(init=False)
    _session: Session | None = field(default=None, init=False)
    _life: asyncio.Task[None] | None = field(default=None, init=False)
    """Loads, then supervises."""

    def __attrs_post_init__(self) -> None:
        settings = self._settings
        self._deaths = Deaths(
            self._clock,
            settings.quarantine_window_s,
            settings.quarantine_after,
            settings.restart_pause_s,
            settings.max_restart_pause_s,
        )

    async def start(self) -> EngineDescription:
        """Start a worker and load the model in it."""
        self._change(EngineState.STARTING, "the model is being loaded")
        self._life = asyncio.create_task(self._open(self._new_session()))
        try:
            await self._life
        except asyncio.CancelledError:
            if self.state is EngineState.STOPPED:  # by stop(), not by our caller
                raise self._unavailable() from None
            self._change(EngineState.STOPPED, "the load was cancelled")
            raise
        except Exception as error:
            self._change(EngineState.STOPPED, str(error), getattr(error, "detail", None))
            raise
        self._life = asyncio.create_task(self._supervise())
        return self._loaded().description

    async def generate(
        self, request: GenerationRequest, progress: Progress | None = None
    ) -> AsyncGenerator[Piece, None]:
        """The pieces of all choices; waits for a worker where there is none at the moment."""
        if self.state in {EngineState.STOPPED, EngineState.QUARANTINED}:
            raise self._unavailable()
        running = self._requests.submit(request, progress)
        try:
            while True:
                piece = await running.stream.get()
                yield piece
                if piece.usage is not None:
                    return
        finally:
            self._requests.withdraw(running)

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
        session = self._loaded()
        session.description = wire.description_from_wire(await session.call("describe"))
        return session.description

    def describe(self) -> Mapping[str, Any]:
        """State, deaths, and what the last beat said."""
        facts = {
            "model": self._model.id,
            "backend": self._spec.name,
            "isolation": "process",
            **({"interpreter": str(self._interpreter)} if self._interpreter else {}),
            "state": self.state,
            "reason": self._detail,
            "deaths": self._deaths.total,
            "running": self._requests.running,
            "waiting": self._requests.waiting,
        }
        if self.state is not EngineState.READY or not self._session:
            return facts
        pulse = self._session.pulse
        return {
            **facts,
            "pid": self._session.worker.pid,
            "missed_beats": pulse.missed,
            "step_age_s": pulse.step_age_s,
            "pending": pulse.pending,
            "details": self._session.description.details,
        }

    async def stop(self, grace_s: float | None = None) -> None:
        """End the worker: asked, then told, then killed."""
        self._change(EngineState.STOPPED, "the model is unloaded")
        self._requests.fail_all(self._unavailable())
        if self._life:
            self._life.cancel()
            await asyncio.wait([self._life])
        if self._session:
            session, self._session = self._session, None
            await session.worker.end(self._settings.stop_grace_s if grace_s is None else grace_s)

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

    def _new_session(self) -> Session:
        assignment = Assignment(
            spec=self._spec,
            plugin=self._plugin,
            config=self._plugin_config,
            model=self._model,
            settings=self._settings,
            interpreter=self._interpreter,
            text_plugins=self._text_plugins,
        )
        return Session(assignment, self._requests, self._log)

    async def _open(self, session: Session) -> None:
        await session.open()
        self._session = session
        self._change(EngineState.READY, "the model is loaded")
        self._requests.connect(session.worker.send)

    async def _supervise(self) -> None:
        while self.state is EngineState.READY:
            session = self._loaded()
            self._mourn(session, await session.watch())
            await self._restart()

    async def _restart(self) -> None:
        while self.state is EngineState.RESTARTING:
            self._restart_at_s = self._clock() + self._deaths.pause_s
            await asyncio.sleep(self._deaths.pause_s)
            session = self._new_session()
            try:
                await self._open(session)
            except LmxError as error:
                self._mourn(session, error.message)
            except Exception as error:  # the boundary around a restart: its requests wait for an end, whatever it is
                self._log.error("restart_failed", model=self._model.id, exc_info=error)
                if self._session:  # the model was loaded, and what came then went wrong
                    await self._session.worker.kill()
                self._mourn(session, f"the model could not be loaded: {type(error).__name__}; the log says why")

    def _mourn(self, session: Session, reason: str) -> None:
        self._session = None
        self._deaths.record()
        self._log.warning(
            "worker_died",
            model=self._model.id,
            reason=reason,
            last_lines=session.worker.last_lines(),
            deaths=self._deaths.total,
        )
        detail = session.detail(reason)
        self._requests.disconnect(reason, detail)
        if self._deaths.too_many:
            how_many = f"{self._deaths.recent} workers died, the last one so: "
            self._change(EngineState.QUARANTINED, how_many + reason, how_many + detail)
            self._requests.fail_all(self._unavailable())
        else:
            self._change(EngineState.RESTARTING, reason, detail)

    def _loaded(self) -> Session:
        if self._session is None:
            raise self._unavailable()
        return self._session

    def _unavailable(self) -> Unavailable:
        name = self._model.id
        if self.state is EngineState.QUARANTINED:
            return Unavailable(
                f"model '{name}' is quarantined: {self._reason}; unload it and load it again once that is mended",
                code="model_quarantined",
                retry_after_s=RETRY_QUARANTINED_S,
            )
        if self.state is EngineState.STOPPED:
            code, retry_after_s = "model_draining", RETRY_STOPPED_S
        else:
            code, retry_after_s = "model_loading", max(MIN_RETRY_S, self._restart_at_s - self._clock())
        return Unavailable(f"model '{name}' is {self.state}: {self._reason}", code=code, retry_after_s=retry_after_s)

    def _change(self, state: EngineState, reason: str, detail: str | None = None) -> None:
        self.state, self._reason, self._detail = state, reason, detail or reason
        self._on_change(state, self._detail)
