"""Parts: objects of plugins that the kernel calls by their Protocol, in a process of their own or on its own loop."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, Protocol

from attrs import define, field, frozen

from lmx.workers.handle import EngineState, ignore_change
from lmx.workers.part_calls import NotSent, PartCalls, body_of
from lmx.workers.part_values import Signature, signature_of
from lmx.workers.session import Assignment, Session, WorkerLost
from lmx.workers.supervisor import Stopped, Supervisor
from lmx_hookspecs.context import Logger
from lmx_hookspecs.errors import EngineFailed, LmxError, Unavailable

RETRY_S = 60.0
"""When to come back for a part that keeps dying."""
MOST_CALLS = 256
"""More at the same time are refused."""


@frozen(kw_only=True)
class PartKind:
    """What is known of a part, whoever brings it."""

    protocol: type
    name: str
    """In messages, such as `store`."""
    unavailable: str
    """The code where it cannot be had."""
    harmless: frozenset[str]
    """The methods that change nothing: they are small, and tried again where their process died."""


def refuse_too_many(pending: int, kind: PartKind) -> None:
    """Raises Unavailable (`overloaded`) where no more calls may wait."""
    if pending >= MOST_CALLS:
        raise Unavailable(f"{pending} calls wait for the {kind.name}; try again in a moment", code="overloaded")


class PartHandle(Protocol):
    """A part, wherever it runs; it is opened by its first call, or by `start`."""

    @property
    def state(self) -> EngineState:
        """Where it is in its life."""

    async def start(self) -> None:
        """Open it now; raises Unavailable."""

    async def call(self, method: str, arguments: Mapping[str, Any]) -> Any:
        """What its method returns; raises its LmxError, Unavailable, and EngineFailed where it died on the call."""

    def describe(self) -> Mapping[str, Any]:
        """Plain facts for operators, without asking it."""

    async def stop(self, grace_s: float | None = None) -> None:
        """Close it; what still runs fails as Unavailable."""


@frozen(eq=False)
class Stub:
    """Has the methods that the part's Protocol describes."""

    _kind: PartKind
    _handle: PartHandle

    def __getattr__(self, method: str) -> Any:
        signature = signature_of(self._kind.protocol, method)

        async def call(*arguments: Any, **keywords: Any) -> Any:
            return await self._handle.call(method, signature.named(arguments, keywords))

        return call


@define(eq=False)
class ProcessPart:
    """A part in a supervised process."""

    _kind: PartKind
    _assignment: Assignment
    _log: Logger
    _clock: Callable[[], float]
    _supervisor: Supervisor = field(init=False)
    _calls: PartCalls | None = field(default=None, init=False)
    _starting: asyncio.Task[None] | None = field(default=None, init=False)
    _changed: asyncio.Event = field(factory=asyncio.Event, init=False)
    _pending: int = field(default=0, init=False)
    _closed: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        name = {"part": self._kind.name}
        self._supervisor = Supervisor(self._assignment, name, self, self._log, self._clock, ignore_change)

    @property
    def state(self) -> EngineState:
        """Where it is in its life."""
        return self._supervisor.state

    async def start(self) -> None:
        """Start its process, or wait for it."""
        await self._ready()

    async def call(self, method: str, arguments: Mapping[str, Any]) -> Any:
        """Ask its process; a harmless call goes to a second one where the first dies."""
        signature, harmless = signature_of(self._kind.protocol, method), method in self._kind.harmless
        refuse_too_many(self._pending, self._kind)
        self._pending += 1
        try:
            body = await body_of(arguments, large=not harmless)
            return await self._ask(method, body, signature, lives=2 if harmless else 1)
        finally:
            self._pending -= 1

    def take(self, frame: Any) -> None:
        """A frame from the process."""
        if self._calls:
            self._calls.take(frame)

    def connect(self, session: Session) -> None:
        """The process is ready."""
        self._calls = PartCalls(session)
        self._wake()

    def disconnect(self, reason: str, detail: str) -> None:  # noqa: ARG002  the log has them
        """The process is dead; the session has failed its calls."""
        self._calls = None

    def give_up(self) -> None:
        """None will follow by itself."""
        if self._calls:
            self._calls.session.fail_calls(self._supervisor.reason)
        self._calls = None
        self._wake()

    def describe(self) -> Mapping[str, Any]:
        """State, deaths, and what the last beat said."""
        supervisor = self._supervisor
        facts = {
            "isolation": "process",
            "state": supervisor.state,
            "reason": supervisor.detail,
            "deaths": supervisor.deaths.total,
            "running": self._pending,
        }
        if supervisor.session is None:
            return facts
        pulse = supervisor.session.pulse
        return {**facts, "pid": supervisor.session.worker.pid, "missed_beats": pulse.missed}

    async def stop(self, grace_s: float | None = None) -> None:
        """Ask the process to close, and see it end."""
        self._closed = True
        await self._supervisor.stop(grace_s)
        if self._starting:
            await asyncio.wait([self._starting])

    async def _ask(self, method: str, body: bytes, signature: Signature, *, lives: int) -> Any:
        while True:
            try:
                return await (await self._ready()).ask(method, body, signature)
            except NotSent:
                await asyncio.sleep(0)
            except WorkerLost as error:
                lives -= 1
                if not lives:
                    self._lost(error)

    def _lost(self, error: WorkerLost) -> NoReturn:
        if self._closed:
            raise self._unavailable() from error
        raise EngineFailed(f"the {self._kind.name} died on this call: {error.message}") from error

    async def _ready(self) -> PartCalls:
        """The process of the moment; starts one where there is none, and waits for one on its way."""
        limit_s = self._assignment.settings.start_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                while self._calls is None:
                    await self._come_closer()
        except TimeoutError as error:
            raise self._unavailable() from error
        return self._calls

    async def _come_closer(self) -> None:
        if self._closed or (self.state is EngineState.QUARANTINED and self._supervisor.deaths.too_many):
            raise self._unavailable()
        if self.state in {EngineState.STOPPED, EngineState.QUARANTINED} and self._starting is None:
            self._starting = asyncio.create_task(self._start())
        starting = self._starting
        if starting is not None:
            await asyncio.wait([starting])
            self._result_of(starting)  # of the one that we waited for: another waiter may have let go of it
        elif self._calls is None:
            self._changed.clear()
            await self._changed.wait()

    def _result_of(self, starting: asyncio.Task[None]) -> None:
        """Its failure is everybody's who waited for it; the next one to come tries anew."""
        if self._starting is starting:
            self._starting = None
        try:
            starting.result()
        except Stopped as error:
            raise self._unavailable() from error
        except LmxError as error:
            raise self._unavailable(error.message, error.detail) from error

    async def _start(self) -> None:
        if self._supervisor.deaths.too_many:
            raise EngineFailed(self._supervisor.reason)
        try:
            await self._supervisor.start()
        except LmxError:
            self._supervisor.deaths.record()
            raise

    def _wake(self) -> None:
        self._changed.set()

    def _unavailable(self, reason: str | None = None, detail: str | None = None) -> Unavailable:
        name, told = self._kind.name, reason or self._supervisor.reason
        return Unavailable(
            f"the {name} is not there: {told}; the log says more, and a restart of the server starts it anew",
            code=self._kind.unavailable,
            retry_after_s=RETRY_S,
            detail=detail,
        )
