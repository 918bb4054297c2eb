"""Real engines of plugin `echo` for tests of workers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Any

from attrs import define, field

import lmx_echo
from kernel_support import Log
from lmx.config.schema import Workers
from lmx.workers import EngineHandle, EngineState, engine_handle
from lmx_hookspecs import BackendSpec, GenerationRequest, Message, ModelInfo, Piece, Usage

SETTINGS: Callable[..., Workers] = partial(
    Workers,
    restart_pause_s=0.01,
    max_restart_pause_s=0.05,
    quarantine_after=10,
    start_timeout_s=30.0,
)
WAIT_S = 20.0


@define(eq=False)
class Started:
    """An engine, what it logged, and the states it went through."""

    log: Log = field(factory=Log)
    states: list[tuple[EngineState, str]] = field(factory=list)
    engine: EngineHandle = field(init=False)
    _changed: asyncio.Event = field(factory=asyncio.Event)

    def change(self, state: EngineState, reason: str) -> None:
        self.states.append((state, reason))
        self._changed.set()

    async def reach(self, state: EngineState) -> str:
        """Wait for a state, and return the reason given for it."""
        async with asyncio.timeout(WAIT_S):
            while not self.states or self.states[-1][0] is not state:
                self._changed.clear()
                await self._changed.wait()
        return self.states[-1][1]

    @property
    def pid(self) -> int:
        pid: int = self.engine.describe()["pid"]
        return pid


def backend(name: str) -> BackendSpec:
    return next(spec for spec in lmx_echo.lmx_backends() if spec.name == name)


def not_started(
    name: str = "echo-process", *, settings: Workers | None = None, spec: BackendSpec | None = None, **config: Any
) -> Started:
    started = Started()
    started.engine = engine_handle(
        spec or backend(name),
        plugin="echo",
        plugin_config=config,
        model=ModelInfo(id=name, format=name),
        settings=settings or SETTINGS(),
        log=started.log,
        on_change=started.change,
    )
    return started


@asynccontextmanager
async def running(name: str = "echo-process", **config: Any) -> AsyncIterator[Started]:
    started = not_started(name, **config)
    await started.engine.start()
    try:
        yield started
    finally:
        await started.engine.stop(5)


def chat(text: str = "one two three", **fields: Any) -> GenerationRequest:
    return GenerationRequest(model="m", messages=[Message(role="user", content=text)], **{"stream": True, **fields})


def completion(*prompts: str | Sequence[int], **fields: Any) -> GenerationRequest:
    return GenerationRequest(model="m", prompts=prompts, **{"stream": True, **fields})


async def pieces_of(started: Started, request: GenerationRequest) -> list[Piece]:
    async with asyncio.timeout(WAIT_S), aclosing(started.engine.generate(request)) as pieces:
        return [piece async for piece in pieces]


async def text_of(started: Started, request: GenerationRequest) -> str:
    return texts(await pieces_of(started, request))[0]


def texts(pieces: Sequence[Piece]) -> Mapping[int, str]:
    """The text of each choice."""
    return {index: "".join(p.text for p in pieces if p.index == index) for index in {p.index for p in pieces}}


def reasons(pieces: Sequence[Piece]) -> Mapping[int, str]:
    """The finish reason of each choice."""
    return {piece.index: piece.finish_reason for piece in pieces if piece.finish_reason}


def usage_of(pieces: Sequence[Piece]) -> Usage:
    usage = pieces[-1].usage
    assert usage is not None
    return usage


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until something has happened."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110  what is waited for happens in another process
            await asyncio.sleep(0.005)
