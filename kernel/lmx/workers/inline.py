"""An engine on the kernel's own loop: for engines that wait more than they compute."""

import asyncio
import traceback
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, cast

from attrs import define, field

from lmx.workers import recipe
from lmx.workers.handle import RETRY_STOPPED_S, EngineState, OnChange
from lmx.workers.piece_stream import PieceStream
from lmx_hookspecs.context import Logger
from lmx_hookspecs.engines import BackendSpec, EngineDescription, TextEngine
from lmx_hookspecs.errors import EngineFailed, LmxError, PluginError, Unavailable
from lmx_hookspecs.generation import GenerationRequest, Piece
from lmx_hookspecs.models import ModelInfo


@define(eq=False)
class InlineEngine:
    """The EngineHandle of a backend with `isolation="inline"`; it cannot die, so nobody supervises it."""

    _spec: BackendSpec
    _plugin: str
    _plugin_config: Mapping[str, Any]
    _model: ModelInfo
    _log: Logger
    _on_change: OnChange
    state: EngineState = field(default=EngineState.STOPPED, init=False)
    _reason: str = field(default="not started", init=False)
    _engine: TextEngine | None = field(default=None, init=False)
    _running: dict[asyncio.Task[None], PieceStream] = field(factory=dict, init=False)

    async def start(self) -> EngineDescription:
        """Load the engine here and now."""
        if self._spec.level != "text":
            raise PluginError(f"backend '{self._spec.name}' steps tokens: it needs isolation='process'")
        context = recipe.EngineContext(config=recipe.configuration(self._plugin, self._plugin_config), log=self._log)
        try:
            self._engine = self._spec.load(context, self._model)
            description = self._engine.describe()
        except LmxError:
            raise
        except Exception as error:  # the boundary around a plugin's load, as in a worker
            raise EngineFailed(f"the engine could not be loaded: {type(error).__name__}: {error}") from error
        self._change(EngineState.READY, "the model is loaded")
        return description

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Piece, None]:
        """The engine's own pieces; a task of its own makes them, so that `stop` can end it."""
        pieces = cast("AsyncGenerator[Piece, None]", self._loaded().generate(request))
        stream = PieceStream(hold=not request.stream)
        task = asyncio.create_task(self._fill(stream, pieces))
        self._running[task] = stream
        task.add_done_callback(self._running.pop)
        try:
            while True:
                piece = await stream.get()
                yield piece
                if piece.usage is not None:
                    return
        finally:
            if not task.cancelling():  # by `stop`; a second time would cut the engine's own clean-up short
                task.cancel()
            await asyncio.wait([task])

    async def stats(self) -> EngineDescription:
        """What the engine says of itself now."""
        return self._loaded().describe()

    def describe(self) -> Mapping[str, Any]:
        """State and requests."""
        facts = {
            "model": self._model.id,
            "backend": self._spec.name,
            "isolation": "inline",
            "state": self.state,
            "reason": self._reason,
            "running": len(self._running),
        }
        return {**facts, "details": self._engine.describe().details} if self._engine else facts

    async def stop(self, grace_s: float | None = None) -> None:
        """Fail what still runs, and close the engine."""
        engine, self._engine = self._engine, None
        self._change(EngineState.STOPPED, "the model is unloaded")
        running = dict(self._running)
        for task, stream in running.items():
            if task.cancel():
                stream.fail(self._unavailable())
        if running:
            await asyncio.wait(running, timeout=grace_s)
        if engine:
            await engine.close()

    async def _fill(self, stream: PieceStream, pieces: AsyncGenerator[Piece, None]) -> None:
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    stream.put(piece)
                    if piece.usage is not None:
                        return
            stream.fail(EngineFailed("the engine ended its answer without usage; its last piece has to carry it"))
        except LmxError as error:
            stream.fail(error)
        except asyncio.CancelledError:
            if self._engine:  # `stop` has told the caller why, and a caller who has left does not listen
                stream.fail(EngineFailed("the engine gave up: it cancelled the request itself"))
            raise
        except Exception as error:  # the boundary around one request: an engine's bug is not the kernel's
            self._log.error("engine_failed", model=self._model.id, traceback=traceback.format_exc())
            stream.fail(EngineFailed(f"the engine gave up: {type(error).__name__}: {error}"))

    def _loaded(self) -> TextEngine:
        if self._engine is None:
            raise self._unavailable()
        return self._engine

    def _unavailable(self) -> Unavailable:
        return Unavailable(
            f"model '{self._model.id}' is {self.state}: {self._reason}",
            code="model_draining",
            retry_after_s=RETRY_STOPPED_S,
        )

    def _change(self, state: EngineState, reason: str) -> None:
        self.state, self._reason = state, reason
        self._on_change(state, reason)
