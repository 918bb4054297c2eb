"""The requests of one engine: which wait, which run, and which go again after their worker died."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import count

from attrs import define, field

from lmx.workers import wire
from lmx.workers.frames import FrameError
from lmx.workers.piece_stream import PieceStream
from lmx_hookspecs.errors import EngineFailed, InvalidRequest, LmxError, TimedOut
from lmx_hookspecs.generation import GenerationRequest

Send = Callable[..., None]


@define(eq=False)
class Running:
    """A request on its way: `crashes` counts the workers that died while they had it."""

    id: int
    request: GenerationRequest
    stream: PieceStream
    crashes: int = 0
    deadline: asyncio.TimerHandle | None = None


@define(eq=False)
class Requests:
    """Sends requests to the worker of the moment and its pieces to the callers.

    Requests that a dying worker had are suspects: each goes again once, alone, before anything else is sent; the one
    that kills a second worker has shown itself.
    """

    _send: Send | None = field(default=None, init=False)
    _ids: Iterator[int] = field(factory=lambda: count(1), init=False)
    _waiting: deque[Running] = field(factory=deque, init=False)
    _suspects: deque[Running] = field(factory=deque, init=False)
    _running: dict[int, Running] = field(factory=dict, init=False)
    _alone: Running | None = field(default=None, init=False)

    @property
    def running(self) -> int:
        """How many the worker has."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """How many wait for a worker."""
        return len(self._waiting) + len(self._suspects)

    def submit(self, request: GenerationRequest) -> Running:
        """Send a request as soon as a worker may have it; fails it as TimedOut if that takes `timeout_s`."""
        running = Running(next(self._ids), request, PieceStream(hold=not request.stream))
        self._waiting.append(running)
        self._advance()
        if running in self._waiting and request.timeout_s is not None:
            loop = asyncio.get_running_loop()
            running.deadline = loop.call_later(request.timeout_s, self._expire, running)
        return running

    def withdraw(self, running: Running) -> None:
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
                running.stream.fail(EngineFailed(epitaph + reason, detail=detail and epitaph + detail))
            else:
                running.stream.restart()
                self._suspects.append(running)

    def fail_all(self, error: LmxError) -> None:
        """No worker will come: end everything."""
        self._send = None
        for running in [*self._running.values(), *self._suspects, *self._waiting]:
            running.stream.fail(error)
            self._forget(running)

    def take_pieces(self, pieces: Iterable[wire.WirePiece]) -> None:
        """What one engine step gave."""
        for wired in pieces:
            running = self._running.get(wired[0])
            if running is None:
                continue  # cancelled while the piece was on its way
            piece = wire.piece_from_wire(wired)
            try:
                running.stream.put(piece)
            except LmxError as error:
                running.stream.fail(error)
                self.withdraw(running)
            if piece.usage is not None:
                self._finish(running)

    def take_failure(self, request_id: int, error: LmxError) -> None:
        """The worker refused a request or gave it up."""
        if running := self._running.get(request_id):
            running.stream.fail(error)
            self._finish(running)

    def _advance(self) -> None:
        while self._send and not self._alone and (running := self._next()):
            self._start(running, self._send)

    def _next(self) -> Running | None:
        if self._suspects:
            if self._running:
                return None
            self._alone = self._suspects.popleft()
            return self._alone
        return self._waiting.popleft() if self._waiting else None

    def _start(self, running: Running, send: Send) -> None:
        self._disarm(running)
        self._running[running.id] = running
        try:
            send("generate", running.id, running.request)
        except FrameError as error:
            self.take_failure(running.id, InvalidRequest(str(error)))

    def _finish(self, running: Running) -> None:
        self._forget(running)
        self._advance()

    def _forget(self, running: Running) -> None:
        self._disarm(running)
        self._running.pop(running.id, None)
        for queue in (self._waiting, self._suspects):
            if running in queue:
                queue.remove(running)
        if self._alone is running:
            self._alone = None

    def _expire(self, running: Running) -> None:
        running.stream.fail(TimedOut("the engine is starting again and was not back in time; try again later"))
        self._forget(running)

    def _disarm(self, running: Running) -> None:
        if running.deadline:
            running.deadline.cancel()
            running.deadline = None
