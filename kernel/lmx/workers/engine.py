"""An engine in a supervised worker process: what dies is started again, until it has died too often."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from attrs import define, field

from lmx.workers import wire
from lmx.workers.deaths import Deaths
from lmx.workers.handle import EngineState, OnChange, WorkerSettings
from lmx.workers.requests import Requests
from lmx.workers.session import Assignment, Session
from lmx_hookspecs.context import Logger
from lmx_hookspecs.engines import BackendSpec, EngineDescription
from lmx_hookspecs.errors import LmxError, Unavailable
from lmx_hookspecs.generation import GenerationRequest, Piece
from lmx_hookspecs.models import ModelInfo


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
    state: EngineState = field(default=EngineState.STOPPED, init=False)
    _reason: str = field(default="not started", init=False)
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
        self._life = asyncio.create_task(self._open())
        try:
            await self._life
        except asyncio.CancelledError:
            if self.state is EngineState.STOPPED:  # by stop(), not by our caller
                raise self._unavailable() from None
            self._change(EngineState.STOPPED, "the load was cancelled")
            raise
        except Exception as error:
            self._change(EngineState.STOPPED, str(error))
            raise
        self._life = asyncio.create_task(self._supervise())
        return self._loaded().description

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Piece, None]:
        """The pieces of all choices; waits for a worker where there is none at the moment."""
        if self.state in {EngineState.STOPPED, EngineState.QUARANTINED}:
            raise self._unavailable()
        running = self._requests.submit(request)
        try:
            while True:
                piece = await running.stream.get()
                yield piece
                if piece.usage is not None:
                    return
        finally:
            self._requests.withdraw(running)

    async def stats(self) -> EngineDescription:
        """What the engine says of itself, between two steps."""
        return wire.description_from_wire(await self._loaded().call("describe"))

    def describe(self) -> Mapping[str, Any]:
        """State, deaths, and what the last beat said."""
        facts = {
            "model": self._model.id,
            "backend": self._spec.name,
            "isolation": "process",
            "state": self.state,
            "reason": self._reason,
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

    async def _open(self) -> None:
        assignment = Assignment(
            spec=self._spec,
            plugin=self._plugin,
            config=self._plugin_config,
            model=self._model,
            settings=self._settings,
        )
        session = Session(assignment, self._requests, self._log)
        await session.open()
        self._session = session
        self._change(EngineState.READY, "the model is loaded")
        self._requests.connect(session.worker.send)

    async def _supervise(self) -> None:
        while self.state is EngineState.READY:
            self._mourn(await self._loaded().watch())
            await self._restart()

    async def _restart(self) -> None:
        while self.state is EngineState.RESTARTING:
            await asyncio.sleep(self._deaths.pause_s)
            try:
                await self._open()
            except LmxError as error:
                self._mourn(error.message)

    def _mourn(self, reason: str) -> None:
        self._session = None
        self._deaths.record()
        self._log.warning("worker_died", model=self._model.id, reason=reason, deaths=self._deaths.total)
        self._requests.disconnect(reason)
        if self._deaths.too_many:
            self._change(EngineState.QUARANTINED, f"{self._deaths.recent} workers died, the last one so: {reason}")
            self._requests.fail_all(self._unavailable())
        else:
            self._change(EngineState.RESTARTING, reason)

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
            )
        code = "model_draining" if self.state is EngineState.STOPPED else "model_loading"
        return Unavailable(f"model '{name}' is {self.state}: {self._reason}", code=code)

    def _change(self, state: EngineState, reason: str) -> None:
        self.state, self._reason = state, reason
        self._on_change(state, reason)
