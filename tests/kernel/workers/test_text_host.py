"""The host of text-level engines, with an engine whose pieces are written down."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from attrs import define, field

from lmx.workers import wire
from lmx.workers.activity import Activity
from lmx.workers.frames import Decoder, Encoder, FrameSocket
from lmx.workers.text_host import TextHost
from lmx_hookspecs import EngineDescription, GenerationRequest, Piece, Usage
from lmx_hookspecs.errors import EngineFailed, UnsupportedParameter
from token_host_support import ANSWER_LIMIT_S, deliver, next_of

END = Piece(finish_reason="stop", usage=Usage(prompt_tokens=1, completion_tokens=1))


@define(eq=False)
class ScriptedText:
    """A TextEngine that gives every request the same pieces, all in one turn of the loop; None waits for ever."""

    script: Sequence[Piece | None]
    loops: list[asyncio.AbstractEventLoop] = field(factory=list)
    cancelled: int = 0
    closed: bool = False

    async def generate(self, request: GenerationRequest) -> AsyncIterator[Piece]:  # noqa: ARG002  the interface
        try:
            for piece in self.script:
                if piece is None:
                    await asyncio.Event().wait()
                else:
                    yield piece
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def double(self, number: int) -> int:
        return 2 * number

    def describe(self) -> EngineDescription:
        self.loops.append(asyncio.get_running_loop())
        return EngineDescription(context_length=100, capabilities=frozenset(), memory_bytes=0)

    async def close(self) -> None:
        self.closed = True


@define(eq=False)
class TextKernel:
    """The other end of the socket pair."""

    host: TextHost
    frames: Iterator[Any]

    def send(self, *frame: Any) -> None:
        deliver(self.host, *frame)

    def ask(self, request_id: int = 1) -> None:
        self.send("generate", request_id, GenerationRequest(model="m", prompts=["hi"]))

    def receive(self, kind: str) -> Any:
        return next_of(self.frames, kind)


@contextmanager
def hosted_text(engine: ScriptedText, activity: Activity | None = None) -> Iterator[TextKernel]:
    ours, theirs = socket.socketpair()
    ours.settimeout(ANSWER_LIMIT_S)
    with ours, theirs:
        host = TextHost(lambda: engine, FrameSocket(theirs), activity or Activity())
        host.load()
        main_thread = threading.Thread(target=host.run, daemon=True)
        main_thread.start()
        try:
            yield TextKernel(host, FrameSocket(ours).frames())
        finally:
            host.stop()
            main_thread.join(ANSWER_LIMIT_S)


def test_pieces_of_one_turn_travel_in_one_frame() -> None:
    engine = ScriptedText([Piece(text="a", tokens=1), Piece(text="b", tokens=1), END])
    with hosted_text(engine) as kernel:
        kernel.ask()

        pieces = [wire.piece_from_wire(wired) for wired in kernel.receive("step")]

    assert pieces == engine.script


def test_an_answer_without_usage_is_a_failure() -> None:
    with hosted_text(ScriptedText([Piece(text="a", tokens=1)])) as kernel:
        kernel.ask()
        kernel.receive("step")

        with pytest.raises(EngineFailed, match="without usage"):
            kernel.receive("step")


def test_an_engine_that_only_talks_does_not_only_count() -> None:
    with hosted_text(ScriptedText([END])) as kernel:
        kernel.send("count", 1, GenerationRequest(model="m", prompts=["hi"]))

        with pytest.raises(UnsupportedParameter, match="cannot count tokens without answering"):
            kernel.receive("result")


def test_text_that_cannot_travel_fails_its_request_and_spares_the_others_of_its_frame() -> None:
    class Uneven(ScriptedText):
        async def generate(self, request: GenerationRequest) -> AsyncIterator[Piece]:
            yield Piece(text=request.model)
            yield END

    with hosted_text(Uneven([])) as kernel:
        kernel.host.receive(["generate", 1, plain(GenerationRequest(model="fine", prompts=["x"]))])
        kernel.host.receive(["generate", 2, {**plain(GenerationRequest(model="", prompts=["x"])), "model": "\ud800"}])

        frames = [next(kernel.frames)]
        while not (has_ended(1, frames) and has_ended(2, frames)):
            frames.append(next(kernel.frames))

    assert [piece[:3] for frame in frames if frame[0] == "step" for piece in frame[1]] == [[1, 0, "fine"], [1, 0, ""]]
    assert [frame[1] for frame in frames if frame[0] == "failed"] == [2]


def test_a_cancelled_request_is_cancelled_in_the_engine() -> None:
    activity = Activity()
    engine = ScriptedText([Piece(text="a"), None])
    with hosted_text(engine, activity) as kernel:
        kernel.ask()
        kernel.receive("step")
        assert activity.live == {1}

        kernel.send("cancel", 1)
        kernel.send("call", -1, "double", [21])

        assert kernel.receive("result") == 42
        assert engine.cancelled == 1
    assert activity.live == set()


def test_stopping_cancels_what_runs_and_closes_the_engine() -> None:
    engine = ScriptedText([Piece(text="a"), None])

    with hosted_text(engine) as kernel:
        kernel.ask()
        kernel.receive("step")

    assert (engine.cancelled, engine.closed) == (1, True)


def test_the_engine_is_loaded_on_the_loop_it_runs_on() -> None:
    engine = ScriptedText([])
    with hosted_text(engine) as kernel:
        kernel.send("call", -1, "describe", [])
        kernel.receive("result")

    assert engine.loops[0] is engine.loops[1]


def has_ended(request_id: int, frames: Sequence[Any]) -> bool:
    """Whether it failed or has its last piece, in however many frames the turns of the loop put it."""
    last = [piece[0] for frame in frames if frame[0] == "step" for piece in frame[1] if len(piece) == 5]
    failed = [frame[1] for frame in frames if frame[0] == "failed"]
    return request_id in (*last, *failed)


def plain(request: GenerationRequest) -> Any:
    (frame,) = Decoder().feed(Encoder().encode([request]))
    return frame[0]
