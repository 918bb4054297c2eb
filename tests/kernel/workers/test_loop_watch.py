"""Engines that step by themselves, as the host of text-level engines sees them."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from attrs import define, field

from lmx.workers.activity import Activity
from lmx.workers.frames import FrameSocket
from lmx.workers.loop_watch import LoopWatch
from lmx.workers.text_host import TextHost
from lmx_hookspecs import EngineDescription, GenerationRequest, LoopingEngine, Piece
from lmx_hookspecs.errors import EngineFailed

STAGE = "progress"


@define(eq=False)
class Looping:
    """A TextEngine that counts the looks at its steps, and moves only if it is told to."""

    moves: bool = True
    reason: str | None = None
    looks: int = 0
    seen_often: asyncio.Event = field(factory=asyncio.Event)

    async def generate(self, request: GenerationRequest) -> AsyncIterator[Piece]:
        raise NotImplementedError(request)
        yield

    def describe(self) -> EngineDescription:
        return EngineDescription(context_length=1, capabilities=frozenset(), memory_bytes=0)

    async def close(self) -> None:
        pass

    def steps(self) -> int:
        self.looks += 1
        if self.looks == 5:
            self.seen_often.set()
        return self.looks if self.moves else 0

    async def death(self) -> str:
        if self.reason is None:
            await asyncio.Event().wait()
        return self.reason or ""


def wedged(clock_s: list[float]) -> Activity:
    """One that has had a request for 500 s, without a piece."""
    activity = Activity(lambda: clock_s[0])
    activity.live.add(1)
    activity.begin(STAGE)
    clock_s[0] = 500.0
    return activity


@pytest.mark.parametrize(("moves", "age_s"), [(True, 0.0), (False, 500.0)])
async def test_only_an_engine_that_steps_is_young(moves: bool, age_s: float) -> None:
    activity, stopping, engine = wedged([0.0]), asyncio.Event(), Looping(moves=moves)
    watching = asyncio.create_task(LoopWatch(engine, activity, STAGE, look_interval_s=0.001).until(stopping))
    await asyncio.wait_for(engine.seen_often.wait(), 10)

    stopping.set()
    await watching

    assert activity.age_s() == age_s


async def test_steps_without_a_request_are_no_piece_of_work() -> None:
    activity, stopping, engine = Activity(lambda: 0.0), asyncio.Event(), Looping()
    watching = asyncio.create_task(LoopWatch(engine, activity, STAGE, look_interval_s=0.001).until(stopping))
    await asyncio.wait_for(engine.seen_often.wait(), 10)

    stopping.set()
    await watching

    assert activity._began_s == {}


def test_the_death_of_an_engine_ends_its_host_with_the_reason() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        host = TextHost(lambda: Looping(reason="its loop has ended"), FrameSocket(theirs), Activity())
        host.load()

        with pytest.raises(EngineFailed, match="its loop has ended"):
            host.run()


def test_an_engine_with_both_methods_is_one_that_is_watched() -> None:
    assert isinstance(Looping(), LoopingEngine)
