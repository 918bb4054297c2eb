"""An engine on the kernel's own loop: for engines that wait more than they compute."""

import asyncio
import traceback
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import aclosing
from typing import Any, TypeVar, cast

from attrs import define, field

from lmx.workers import recipe
from lmx.workers.handle import COUNT, RETRY_STOPPED_S, EngineState, OnChange, unable
from lmx.workers.piece_stream import PieceStream
from lmx.workers.progress import Progress
from lmx_hookspecs.context import Context, Logger, WorkerContext
from lmx_hookspecs.embedding import (
    EmbeddingEngine,
    EmbeddingRequest,
    Embeddings,
    Reranking,
    RerankingEngine,
    RerankRequest,
)
from lmx_hookspecs.engines import BackendSpec, CountingEngine, EngineDescription, TextEngine
from lmx_hookspecs.errors import EngineFailed, LmxError, PluginError, Unavailable
from lmx_hookspecs.generation import GenerationRequest, Piece
from lmx_hookspecs.models import ModelInfo

T = TypeVar("T")


@define(eq=False)
class InlineEngine:
    """The EngineHandle of a backend with `isolation="inline"`; it cannot die, so nobody supervises it."""

    _spec: BackendSpec
    _plugin: str
    _plugin_config: Mapping[str, Any]
    _model: ModelInfo
    _log: Logger
    _on_change: OnChange
    _context: Context | None = None
    """The plugin's own; None makes one as a worker would."""
    state: EngineState = field(default=EngineState.STOPPED, init=False)
    _reason: str = field(default="not started", init=False)
    _engine: TextEngine | None = field(default=None, init=False)
    _running: "dict[asyncio.Task[Any], PieceStream | None]" = field(factory=dict, init=False)
    """What runs, with the stream that its pieces go to; None for what answers all at once."""

    async def start(self) -> EngineDescription:
        """Load the engine here and now."""
        if self._spec.level != "text":
            raise PluginError(f"backend '{self._spec.name}' steps tokens: it needs isolation='process'")
        try:
            self._engine = self._spec.load(self._worker_context(), self._model)
            description = self._engine.describe()
        except LmxError:
            raise
        except Exception as error:  # the boundary around a plugin's load, as in a worker
            raise EngineFailed(f"the engine could not be loaded: {type(error).__name__}: {error}") from error
        self._change(EngineState.READY, "the model is loaded")
        return description

    async def generate(
        self, request: GenerationRequest, progress: Progress | None = None
    ) -> AsyncGenerator[Piece, None]:
        """The engine's own pieces; a task of its own makes them, so that `stop` can end it."""
        pieces = cast("AsyncGenerator[Piece, None]", self._loaded().generate(request))
        stream = PieceStream(not request.stream, progress or Progress())
        stream.sent()
        task = self._run(self._fill(stream, pieces), stream)
        try:
            while True:
                piece = await stream.get()
                yield piece
                if piece.usage is not None:
                    return
        finally:
            await _end(task)

    async def count_tokens(self, request: GenerationRequest) -> int:
        """The engine's own count."""
        engine = self._loaded()
        if not isinstance(engine, CountingEngine):
            raise unable(self._model.id, COUNT)
        return await self._all_at_once(engine.count_tokens(request))

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """The engine's own vectors."""
        engine = self._loaded()
        if not isinstance(engine, EmbeddingEngine):
            raise unable(self._model.id, "embed")
        return await self._all_at_once(engine.embed(request))

    async def rerank(self, request: RerankRequest) -> Reranking:
        """The engine's own order."""
        engine = self._loaded()
        if not isinstance(engine, RerankingEngine):
            raise unable(self._model.id, "rerank")
        return await self._all_at_once(engine.rerank(request))

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
            if task.cancel() and stream is not None:
                stream.fail(self._unavailable())
        if running:
            await asyncio.wait(running, timeout=grace_s)
        if engine:
            await engine.close()

    def _worker_context(self) -> WorkerContext:
        if self._context is not None:
            return self._context
        return recipe.EngineContext(config=recipe.configuration(self._plugin, self._plugin_config), log=self._log)

    def _run(self, work: Coroutine[Any, Any, T], stream: PieceStream | None) -> "asyncio.Task[T]":
        task = asyncio.create_task(work)
        self._running[task] = stream
        task.add_done_callback(self._running.pop)
        return task

    async def _all_at_once(self, work: Coroutine[Any, Any, T]) -> T:
        """What the engine answers; a task of its own waits for it, so that `stop` can end it."""
        task = self._run(work, None)
        try:
            await asyncio.wait([task])
            return self._answer_of(task)
        finally:
            await _end(task)

    def _answer_of(self, task: "asyncio.Task[T]") -> T:
        try:
            return task.result()
        except LmxError:
            raise
        except asyncio.CancelledError:
            raise self._cut_off() from None
        except Exception as error:  # the boundary around one request, as in `_fill`
            raise self._gave_up(error) from error

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
                stream.fail(self._cut_off())
            raise
        except Exception as error:  # the boundary around one request: an engine's bug is not the kernel's
            stream.fail(self._gave_up(error))

    def _cut_off(self) -> LmxError:
        """Why a task was cancelled that its caller still waits for."""
        if self._engine is None:
            return self._unavailable()
        return EngineFailed("the engine gave up: it cancelled the request itself")

    def _gave_up(self, error: Exception) -> EngineFailed:
        self._log.error("engine_failed", model=self._model.id, traceback="".join(traceback.format_exception(error)))
        return EngineFailed(f"the engine gave up: {type(error).__name__}: {error}")

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


async def _end(task: "asyncio.Task[Any]") -> None:
    """Wait until it has ended, cancelled if need be."""
    if not task.cancelling():  # by `stop`; a second time would cut the engine's own clean-up short
        task.cancel()
    await asyncio.wait([task])
