"""The requests of one engine: which wait, which run, and which go again after their worker died."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any, Generic, TypeVar

from attrs import define, field

from lmx.workers import wire
from lmx.workers.frames import FrameError
from lmx.workers.handle import Deadly
from lmx.workers.piece_stream import PieceStream
from lmx.workers.progress import Progress
from lmx.workers.vectors import Placed
from lmx.workers.whole_answer import WholeAnswer
from lmx_hookspecs.embedding import EmbeddingRequest, RerankRequest
from lmx_hookspecs.errors import EngineFailed, InvalidRequest, LmxError, TimedOut
from lmx_hookspecs.generation import GenerationRequest

Send = Callable[..., None]
Request = GenerationRequest | EmbeddingRequest | RerankRequest
FRAMES: Mapping[type[Any], str] = {GenerationRequest: "generate", EmbeddingRequest: "embed", RerankRequest: "rerank"}

S = TypeVar("S", PieceStream, WholeAnswer)


@define(eq=False)
class Running(Generic[S]):
    """A request on its way: `crashes` counts the workers that died while they had it."""

    id: int
    frame: str
    """The kind of frame that it is sent in."""
    request: Request
    stream: S
    """Where its answer goes."""
    crashes: int = 0
    deadline: asyncio.TimerHandle | None = None


AnyRunning = Running[PieceStream] | Running[WholeAnswer]


@define(eq=False)
class Requests:
    """Sends requests to the worker of the moment and its pieces to the callers.

    Requests that a dying worker had are suspects: each goes again once, alone, before anything else is sent; the one
    that kills a second worker has shown itself.
    """

    _send: Send | None = field(default=None, init=False)
    _ids: Iterator[int] = field(factory=lambda: count(1), init=False)
    _waiting: deque[AnyRunning] = field(factory=deque, init=False)
    _suspects: deque[AnyRunning] = field(factory=deque, init=False)
    _running: dict[int, AnyRunning] = field(factory=dict, init=False)
    _alone: AnyRunning | None = field(default=None, init=False)

    @property
    def running(self) -> int:
        """How many the worker has."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """How many wait for a worker."""
        return len(self._waiting) + len(self._suspects)

    def submit(self, request: GenerationRequest, progress: Progress | None = None) -> Running[PieceStream]:
        """Send a request as soon as a worker may have it; fails it as TimedOut if that takes `timeout_s`."""
        return self._submit(request, PieceStream(not request.stream, progress or Progress()))

    def submit_whole(self, request: Request, frame: str | None = None) -> Running[WholeAnswer]:
        """The same for what is answered all at once; `frame` says what is wanted, where that is not the usual thing."""
        return self._submit(request, WholeAnswer(), frame)

    def withdraw(self, running: AnyRunning) -> None:
        """The caller is done with it, for whatever reason: cancel what is left."""
        if running.id in self._running and self._send:
            self._send("cancel", running.id)
        self._forget(running)
        self._advance()

    def connect(self, send: Send) -> None:
        """A worker is ready."""
        self._send = send
        self._advance()

    def disconnect(self, reason: str, detail: str | None = None) -> None:
        """The worker is dead: what it had goes again, if nothing of the answer was seen and it is the first time.

        `reason` reaches the clients of what does not, `detail` the operators.
        """
        epitaph = "the engine died on this request: "
        self._send, self._alone = None, None
        lost, self._running = self._running, {}
        for running in lost.values():
            running.crashes += 1
            if running.stream.handed_out or running.crashes > 1:
                failure = EngineFailed if running.crashes == 1 else Deadly
                running.stream.fail(failure(epitaph + reason, detail=detail and epitaph + detail))
            else:
                running.stream.restart()
                self._suspects.append(running)

    def fail_all(self, error: LmxError) -> None:
        """No worker will come: end everything."""
        self._send = None
        for running in [*self._running.values(), *self._suspects, *self._waiting]:
            running.stream.fail(error)
            self._forget(running)

    def take(self, frame: Any) -> None:
        """A frame of the worker's; what concerns no request is ignored."""
        match frame:
            case ["step", pieces]:
                self.take_pieces(pieces)
            case ["failed", request_id, error]:
                self.take_failure(request_id, wire.error_from_wire(error))
            case ["vectors", request_id, placed]:
                self.take_vectors(request_id, placed)
            case ["result", request_id, value]:
                self.take_result(request_id, value)

    def take_pieces(self, pieces: Iterable[wire.WirePiece]) -> None:
        """What one engine step gave."""
        for wired in pieces:
            running = self._running.get(wired[0])
            if running is None or not isinstance(running.stream, PieceStream):
                continue  # cancelled while the piece was on its way
            piece = wire.piece_from_wire(wired)
            try:
                running.stream.put(piece)
            except LmxError as error:
                running.stream.fail(error)
                self.withdraw(running)
            if piece.usage is not None:
                self._finish(running)

    def take_vectors(self, request_id: int, placed: Sequence[Placed]) -> None:
        """Some of the vectors that a request is to get."""
        running = self._running.get(request_id)
        if running is not None and isinstance(running.stream, WholeAnswer):
            running.stream.put_vectors(placed)

    def take_result(self, request_id: int, value: Mapping[str, Any]) -> None:
        """The end of a request that is answered all at once."""
        running = self._running.get(request_id)
        if running is not None and isinstance(running.stream, WholeAnswer):
            running.stream.finish(value)
            self._finish(running)

    def take_failure(self, request_id: int, error: LmxError) -> None:
        """The worker refused a request or gave it up."""
        if running := self._running.get(request_id):
            running.stream.fail(error)
            self._finish(running)

    def _submit(self, request: Request, stream: S, frame: str | None = None) -> Running[S]:
        running = Running(next(self._ids), frame or FRAMES[type(request)], request, stream)
        self._waiting.append(running)
        self._advance()
        if running in self._waiting and request.timeout_s is not None:
            loop = asyncio.get_running_loop()
            running.deadline = loop.call_later(request.timeout_s, self._expire, running)
        return running

    def _advance(self) -> None:
        while self._send and not self._alone and (running := self._next()):
            self._start(running, self._send)

    def _next(self) -> AnyRunning | None:
        if self._suspects:
            if self._running:
                return None
            self._alone = self._suspects.popleft()
            return self._alone
        return self._waiting.popleft() if self._waiting else None

    def _start(self, running: AnyRunning, send: Send) -> None:
        self._disarm(running)
        self._running[running.id] = running
        running.stream.sent()
        try:
            send(running.frame, running.id, running.request)
        except FrameError as error:
            self.take_failure(running.id, InvalidRequest(str(error)))

    def _finish(self, running: AnyRunning) -> None:
        self._forget(running)
        self._advance()

    def _forget(self, running: AnyRunning) -> None:
        self._disarm(running)
        self._running.pop(running.id, None)
        for queue in (self._waiting, self._suspects):
            if running in queue:
                queue.remove(running)
        if self._alone is running:
            self._alone = None

    def _expire(self, running: AnyRunning) -> None:
        running.stream.fail(TimedOut("the engine is starting again and was not back in time; try again later"))
        self._forget(running)

    def _disarm(self, running: AnyRunning) -> None:
        if running.deadline:
            running.deadline.cancel()
            running.deadline = None
