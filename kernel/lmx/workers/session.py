"""A worker with what it was started for: has it loaded, and notices when it is of no more use."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from lmx.workers import wire
from lmx.workers.frames import LOAD_ID, FrameError
from lmx.workers.handle import WorkerSettings
from lmx.workers.process import Worker
from lmx.workers.pulse import Pulse
from lmx.workers.versions import VERSIONS, mismatch
from lmx_hookspecs.context import Logger
from lmx_hookspecs.errors import ConfigError, EngineFailed, LmxError, TimedOut, Unavailable

LOG_LEVELS = frozenset({"debug", "info", "warning", "error"})
NOT_THERE = "is opta-lmx installed in that environment?"
STACK_GRACE_S = 0.2
"""How long a worker that is about to be killed may take to write where it hangs."""


class WorkerLost(EngineFailed):
    """The worker died with the call."""


@frozen(kw_only=True)
class Assignment:
    """What a worker is started for."""

    plugin: str
    load: Mapping[str, Any]
    """The `load` frame: names and plain data, from which the worker finds the recipe for itself."""
    settings: WorkerSettings
    environment: Callable[[], Mapping[str, str]] = dict
    interpreter: Path | None = None
    """Of the environment that the worker runs in; None is ours."""
    subject: str = "the model"
    """What it is about, for messages."""


@define(eq=False)
class Session:
    """From the spawn of one worker to its death."""

    assignment: Assignment
    take_other: Callable[[Any], None]
    """Gets the frames that neither concern the worker as such nor a call."""
    log: Logger
    description: Mapping[str, Any] = field(init=False)
    """What the worker said of itself once it had loaded."""
    pulse: Pulse = field(init=False)
    worker: Worker = field(init=False)
    """Not spawned before `open`."""
    _ready: asyncio.Future[Mapping[str, Any]] = field(init=False)
    _greeted: bool = field(default=False, init=False)
    """Whether the worker has said hello."""
    _calls: dict[int, asyncio.Future[Any]] = field(factory=dict, init=False)
    _call_ids: Iterator[int] = field(factory=lambda: count(-1, -1), init=False)

    def __attrs_post_init__(self) -> None:
        settings = self.assignment.settings
        self.pulse = Pulse(settings.heartbeat_interval_s, settings.step_timeout_sec)
        self.worker = Worker(self._take, self.log, interpreter=self.assignment.interpreter)
        self._ready = asyncio.get_running_loop().create_future()

    async def open(self) -> None:
        """Start the worker and have it load; raises the LmxError that this ended in, leaving nothing behind."""
        try:
            environment = await asyncio.to_thread(self.assignment.environment)
            await self.worker.spawn(environment)
        except Exception as error:  # the plugin's idea of an environment, or the system's of a process
            raise EngineFailed(f"no worker process could be started: {error}") from error
        try:
            self.worker.send("hello", VERSIONS)
            self.worker.send("load", self._load_frame())
            self.description = await self._loaded()
        except FrameError as error:
            await self.worker.kill()
            raise ConfigError(f"the configuration cannot be sent to a worker: {error}") from error
        except BaseException:
            await self.worker.kill()
            raise

    async def watch(self) -> str:
        """Wait until the worker is dead, killing it if it is silent or wedged; returns why."""
        reason = f"{await self._death()}; the log says why"
        self.fail_calls(reason)
        return reason

    def fail_calls(self, reason: str) -> None:
        """Nothing will be answered any more."""
        for call in self._calls.values():
            if not call.done():
                call.set_exception(WorkerLost(reason))

    def detail(self, reason: str) -> str:
        """The reason for the worker's end as operators get it: with its last lines."""
        last_lines = self.worker.last_lines()
        return f"{reason}; its last lines: {' | '.join(last_lines)}" if last_lines else reason

    async def call(self, method: str, *arguments: Any) -> Any:
        """What a method of the engine returns, between two steps; raises its LmxError, EngineFailed or TimedOut."""
        limit_s = self.assignment.settings.step_timeout_sec
        call_id = next(self._call_ids)
        try:
            async with asyncio.timeout(limit_s):
                return await self.answer(call_id, lambda: self.worker.send("call", call_id, method, arguments))
        except TimeoutError as error:
            raise TimedOut(
                f"the engine did not answer within {limit_s:g} s; it is busy, or about to be ended"
            ) from error

    def new_call(self) -> int:
        """An id for `answer`."""
        return next(self._call_ids)

    async def answer(self, call_id: int, send: Callable[[], None]) -> Any:
        """What the worker answers to what `send` sends; raises its LmxError, or WorkerLost."""
        if self.worker.gone.done():  # too late for `watch` to say so
            raise WorkerLost(f"{self.worker.epitaph()}; the log says why")
        self._calls[call_id] = asyncio.get_running_loop().create_future()
        try:
            send()
            return await self._calls[call_id]
        finally:
            del self._calls[call_id]

    async def _loaded(self) -> Mapping[str, Any]:
        limit_s = self.assignment.settings.start_timeout_s
        either: list[asyncio.Future[Any]] = [self._ready, self.worker.gone]
        await asyncio.wait(either, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        if self._ready.done():
            return self._ready.result()
        if self.worker.gone.done():
            reason = f"{self.assignment.subject} could not be loaded: {self.worker.epitaph()}; the log says why"
            raise EngineFailed(reason, detail=self.detail(self._no_worker() or reason))
        await self._kill_asking_where()
        raise EngineFailed(
            f"{self.assignment.subject} was not loaded within {limit_s:g} s; "
            "raise workers.start_timeout_s if it needs more"
        )

    def _load_frame(self) -> Mapping[str, Any]:
        return {**self.assignment.load, "heartbeat_interval_s": self.assignment.settings.heartbeat_interval_s}

    def _no_worker(self) -> str | None:
        """What is wrong with an interpreter that did not even begin; for operators."""
        interpreter = self.assignment.interpreter
        if interpreter is None or self._greeted:
            return None
        plugin = self.assignment.plugin
        return f"{interpreter} runs no worker: {NOT_THERE}; `lmx plugins install {plugin} --isolated` makes it anew"

    async def _death(self) -> str:
        while not await self._gone_within(self.pulse.interval_s):
            if reason := self.pulse.tick():
                await self._kill_asking_where()
                return reason
        return self.worker.epitaph()

    async def _gone_within(self, limit_s: float) -> bool:
        await asyncio.wait([self.worker.gone], timeout=limit_s)
        return self.worker.gone.done()

    async def _kill_asking_where(self) -> None:
        self.worker.ask_where()
        await self._gone_within(STACK_GRACE_S)
        await self.worker.kill()

    def _take(self, frame: Any) -> None:
        self.pulse.heard()
        match frame:
            case ["beat", step_age_s, pending]:
                self.pulse.beat(step_age_s, pending)
            case ["failed", request_id, error] if request_id == LOAD_ID or self._awaits(request_id):
                self._fail(request_id, wire.error_from_wire(error))
            case ["result", call_id, value] if self._awaits(call_id):
                self._calls[call_id].set_result(value)
            case ["log", level, event, facts] if level in LOG_LEVELS:
                getattr(self.log, level)(event, **facts)
            case ["hello", versions]:
                self._greet(versions)
            case ["ready", description] if not self._ready.done():
                self._ready.set_result(description)
            case _:
                self.take_other(frame)

    def _greet(self, versions: Mapping[str, Any]) -> None:
        self._greeted = True
        reason = mismatch(VERSIONS, versions, self.assignment.plugin)
        if reason is not None:
            self._fail(LOAD_ID, Unavailable(reason, code="no_engine"))

    def _awaits(self, call_id: int) -> bool:
        """Whether somebody still wants that result: who gave up is only forgotten on the next turn of the loop."""
        return call_id in self._calls and not self._calls[call_id].done()

    def _fail(self, request_id: int, error: LmxError) -> None:
        awaited = self._ready if request_id == LOAD_ID else self._calls[request_id]
        if not awaited.done():
            awaited.set_exception(error)
