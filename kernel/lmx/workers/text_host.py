"""Runs a text-level engine in a worker: an asyncio loop on the main thread, one task a request."""

import asyncio
import inspect
import traceback
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, cast

from attrs import define, evolve, field

from lmx.workers import vectors, wire
from lmx.workers.activity import Activity
from lmx.workers.frames import FrameSocket
from lmx.workers.handle import COUNT, unable
from lmx.workers.loop_watch import LoopWatch
from lmx.workers.sending import send_step
from lmx.workers.vectors import VECTORS_A_FRAME
from lmx_hookspecs.embedding import EmbeddingEngine, EmbeddingRequest, Embeddings, RerankingEngine, RerankRequest
from lmx_hookspecs.engines import CountingEngine, EngineDescription, TextEngine
from lmx_hookspecs.errors import EngineFailed, LmxError
from lmx_hookspecs.generation import GenerationRequest

PROGRESS = "progress"
MAX_BATCHED_PIECES = 64


@define(eq=False)
class TextHost:
    """The pieces that come up in one turn of the loop travel in one frame."""

    _load_engine: Callable[[], TextEngine]
    _link: FrameSocket
    _activity: Activity
    _runner: asyncio.Runner = field(factory=asyncio.Runner, init=False)
    _stopping: asyncio.Event = field(factory=asyncio.Event, init=False)
    _tasks: dict[int, asyncio.Task[None]] = field(factory=dict, init=False)
    _batch: list[wire.WirePiece] = field(factory=list, init=False)
    _engine: TextEngine = field(init=False)

    def load(self) -> EngineDescription:
        """Load on the loop, so that the engine may start tasks of its own."""
        return self._runner.run(self._load())

    def run(self) -> None:
        """Serve until `stop`, then close the engine."""
        with self._runner:
            self._runner.run(self._serve())

    def receive(self, frame: Any) -> None:
        """A frame from the kernel."""
        self._runner.get_loop().call_soon_threadsafe(self._dispatch, frame)

    def stop(self) -> None:
        """Let `run` return."""
        self._runner.get_loop().call_soon_threadsafe(self._stopping.set)

    async def _load(self) -> EngineDescription:
        self._engine = self._load_engine()
        return self._engine.describe()

    async def _serve(self) -> None:
        await LoopWatch(self._engine, self._activity, PROGRESS).until(self._stopping)
        running = list(self._tasks.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._engine.close()

    def _dispatch(self, frame: Sequence[Any]) -> None:
        match frame:
            case ["generate", request_id, request]:
                self._start(request_id, self._generate(request_id, request))
            case ["count", request_id, request]:
                self._start(request_id, self._count(request_id, wire.request_from_wire(request)))
            case ["embed", request_id, request]:
                self._start(request_id, self._embed(request_id, wire.embedding_from_wire(request)))
            case ["rerank", request_id, request]:
                self._start(request_id, self._rerank(request_id, wire.reranking_from_wire(request)))
            case ["call", call_id, method, arguments]:
                self._start(call_id, self._call(call_id, method, arguments))
            case ["cancel", request_id] if task := self._tasks.get(request_id):
                task.cancel()

    def _start(self, request_id: int, work: Any) -> None:
        if not self._activity.live:
            self._activity.begin(PROGRESS)
        self._activity.live.add(request_id)
        task = asyncio.get_running_loop().create_task(self._guarded(request_id, work))
        self._tasks[request_id] = task
        task.add_done_callback(lambda _: self._ended(request_id))

    def _ended(self, request_id: int) -> None:
        del self._tasks[request_id]
        self._activity.live.discard(request_id)
        if not self._activity.live:
            self._activity.end(PROGRESS)

    async def _guarded(self, request_id: int, work: Any) -> None:
        try:
            await work
        except LmxError as error:
            self._fail(request_id, error)
        except Exception as error:  # the boundary around one request: the others go on
            traceback.print_exc()
            self._fail(request_id, EngineFailed(f"the engine gave up: {type(error).__name__}: {error}"))

    async def _generate(self, request_id: int, wired: Any) -> None:
        answer = cast("AsyncGenerator[Any, None]", self._engine.generate(wire.request_from_wire(wired)))
        complete = False
        async with aclosing(answer) as pieces:
            async for piece in pieces:
                self._activity.begin(PROGRESS)
                self._emit(wire.piece_to_wire(request_id, piece))
                complete = piece.usage is not None
        if not complete:
            raise EngineFailed("the engine ended its answer without usage; its last piece has to carry it")

    async def _count(self, request_id: int, request: GenerationRequest) -> None:
        if not isinstance(self._engine, CountingEngine):
            raise unable(request.model, COUNT)
        self._link.send("result", request_id, {"prompt_tokens": await self._engine.count_tokens(request)})

    async def _embed(self, request_id: int, request: EmbeddingRequest) -> None:
        """In parts, each of which shows that the engine is alive."""
        if not isinstance(self._engine, EmbeddingEngine):
            raise unable(request.model, "embed")
        made: list[Embeddings] = []
        for start in range(0, len(request.inputs), VECTORS_A_FRAME):
            inputs = request.inputs[start : start + VECTORS_A_FRAME]
            made.append(await self._engine.embed(evolve(request, inputs=inputs)))
            self._activity.begin(PROGRESS)
            placed = [(start + place, vectors.to_wire(vector)) for place, vector in enumerate(made[-1].vectors)]
            self._link.send("vectors", request_id, placed)
        counts = [part.prompt_tokens for part in made if part.prompt_tokens is not None]
        tokens = sum(counts) if len(counts) == len(made) else None
        self._link.send("result", request_id, {"prompt_tokens": tokens, "model": made[-1].model})

    async def _rerank(self, request_id: int, request: RerankRequest) -> None:
        if not isinstance(self._engine, RerankingEngine):
            raise unable(request.model, "rerank")
        made = await self._engine.rerank(request)
        results = [(ranked.index, ranked.score) for ranked in made.results]
        told = {"results": results, "total_tokens": made.total_tokens, "model": made.model}
        self._link.send("result", request_id, told)

    async def _call(self, call_id: int, method: str, arguments: Sequence[Any]) -> None:
        result = getattr(self._engine, method)(*arguments)
        self._link.send("result", call_id, await result if inspect.isawaitable(result) else result)

    def _emit(self, piece: wire.WirePiece) -> None:
        self._batch.append(piece)
        if len(self._batch) == 1:
            asyncio.get_running_loop().call_soon(self._flush)
        elif len(self._batch) >= MAX_BATCHED_PIECES:
            self._flush()

    def _flush(self) -> None:
        batch, self._batch = self._batch, []
        if not batch:
            return
        for request_id, error in send_step(self._link, batch).items():
            if task := self._tasks.get(request_id):
                task.cancel()
            self._fail(request_id, error)

    def _fail(self, request_id: int, error: LmxError) -> None:
        self._flush()
        self._link.send("failed", request_id, wire.error_to_wire(error))
