"""A TokenHost on threads of the test, around an engine whose steps are written down."""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from attrs import define, field

from lmx.workers import wire
from lmx.workers.activity import Activity
from lmx.workers.dialect import Dialect
from lmx.workers.frames import Decoder, Encoder, FrameSocket
from lmx.workers.outbox import Outbox
from lmx.workers.token_host import TokenHost
from lmx.workers.trimming import TrimTimer
from lmx_echo.byte_tokenizer import END, ByteTokenizer
from lmx_hookspecs import (
    EngineDescription,
    GenerationRequest,
    Piece,
    StepEngine,
    TokenPiece,
    TokenRequest,
)

ANSWER_LIMIT_S = 20.0

Script = Sequence[dict[str, Any]]
"""The pieces of every row, in order, without their id."""


@define(eq=False)
class ScriptedSteps:
    """A StepEngine that gives each row the same pieces, one a step."""

    script: Script
    refuse: Callable[[TokenRequest], None] = lambda _: None
    tokenizer: ByteTokenizer = field(factory=ByteTokenizer)
    context_length: int = 100
    requests: list[TokenRequest] = field(factory=list)
    cancelled: list[int] = field(factory=list)
    closed: bool = False
    rows: dict[int, int] = field(factory=dict)

    def add(self, row: int, request: TokenRequest) -> None:
        self.refuse(request)
        self.requests.append(request)
        self.rows[row] = 0

    def cancel(self, row: int) -> None:
        self.cancelled.append(row)
        self.rows.pop(row, None)

    def step(self) -> Sequence[TokenPiece]:
        pieces = [TokenPiece(id=row, **self.script[at]) for row, at in self.rows.items()]
        self.rows = {piece.id: self.rows[piece.id] + 1 for piece in pieces if not piece.finish_reason}
        return pieces

    def describe(self) -> EngineDescription:
        return EngineDescription(context_length=self.context_length, capabilities=frozenset(), memory_bytes=0)

    def close(self) -> None:
        self.closed = True


@define(eq=False)
class Kernel:
    """The other end of the socket pair."""

    host: TokenHost
    frames: Iterator[Any]

    def generate(self, **fields: Any) -> list[Piece]:
        """The pieces of one answer, without what tells of its prompt."""
        request = GenerationRequest(model="m", **{"prompts": ["hi"], **fields})
        self.send("generate", 1, request)
        pieces: list[Piece] = []
        while not pieces or pieces[-1].usage is None:
            pieces += map(wire.piece_from_wire, self.receive("step"))
        return [piece for piece in pieces if not piece.prompt_tokens]

    def answer_frames(self) -> Iterator[Sequence[Piece]]:
        """The pieces of each frame of one answer, behind that of its prompt; raises the error of a `failed` one."""
        self.send("generate", 1, GenerationRequest(model="m", prompts=["hi"]))
        assert list(map(wire.piece_from_wire, self.receive("step"))) == [Piece(prompt_tokens=2)]
        pieces: list[Piece] = []
        while not pieces or pieces[-1].usage is None:
            pieces = list(map(wire.piece_from_wire, self.receive("step")))
            yield pieces

    def call(self, method: str) -> Any:
        self.send("call", -1, method, [])
        return self.receive("result")

    def send(self, *frame: Any) -> None:
        deliver(self.host, *frame)

    def receive(self, kind: str) -> Any:
        """What the next frame holds; raises the error of a `failed` one."""
        return next_of(self.frames, kind)


def deliver(host: Any, *frame: Any) -> None:
    """Give a host a frame as it arrives over the wire."""
    (arrived,) = Decoder().feed(Encoder().encode(frame))
    host.receive(arrived)


def next_of(frames: Iterator[Any], kind: str) -> Any:
    """What the next frame, of that kind, holds; raises the error of a `failed` one."""
    frame = next(frames)
    if frame[0] == "failed":
        raise wire.error_from_wire(frame[2])
    assert frame[0] == kind
    return frame[-1]


@contextmanager
def hosted(
    engine: StepEngine,
    trim_timer: TrimTimer | None = None,
    outbox: Outbox | None = None,
    dialect_of: Callable[[Any], Dialect] = lambda _: Dialect(),
) -> Iterator[Kernel]:
    ours, theirs = socket.socketpair()
    ours.settimeout(ANSWER_LIMIT_S)
    with ours, theirs:
        host = TokenHost(
            lambda: engine,
            FrameSocket(theirs),
            Activity(),
            outbox or Outbox(0.0),
            trim_timer or TrimTimer(),
            dialect_of,
        )
        host.load()
        main_thread = threading.Thread(target=host.run, daemon=True)
        main_thread.start()
        try:
            yield Kernel(host, FrameSocket(ours).frames())
        finally:
            host.stop()
            main_thread.join(ANSWER_LIMIT_S)


def script(text: str | bytes, *, logprob: float | None = None, **last: Any) -> Script:
    """One piece a byte, then the end."""
    data = text.encode() if isinstance(text, str) else text
    return [*({"token": byte, "logprob": logprob} for byte in data), last or {"token": END, "finish_reason": "stop"}]
