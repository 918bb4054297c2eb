"""A part that does one thing at a time, in a process that lives while there is something to do.

What takes too long, or is no longer wanted, is ended with its process: a reader that hangs cannot be stopped otherwise.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from attrs import define, field

from lmx.workers.part import PartKind, refuse_too_many
from lmx.workers.part_calls import NotSent, PartCalls, body_of
from lmx.workers.part_values import signature_of
from lmx.workers.session import Assignment, Session, WorkerLost
from lmx_hookspecs.context import Logger
from lmx_hookspecs.errors import LmxError, Unavailable

IDLE_S = 180.0


@define(eq=False)
class OnDemandPart:
    """Calls wait for each other."""

    _kind: PartKind
    _assignment: Assignment
    _log: Logger
    _idle_s: float = IDLE_S
    _one_at_a_time: asyncio.Lock = field(factory=asyncio.Lock, init=False)
    _calls: PartCalls | None = field(default=None, init=False)
    _idle: asyncio.TimerHandle | None = field(default=None, init=False)
    _tasks: "set[asyncio.Task[Any]]" = field(factory=set, init=False)
    _pending: int = field(default=0, init=False)
    _closed: bool = field(default=False, init=False)

    async def call(self, method: str, arguments: Mapping[str, Any], limit_s: float | None = None) -> Any:
        """What its method returns; raises its LmxError, WorkerLost where it died, and TimeoutError after `limit_s`."""
        refuse_too_many(self._pending, self._kind)
        self._pending += 1
        try:
            async with self._one_at_a_time:
                return await self._ask(method, arguments, limit_s)
        finally:
            self._pending -= 1

    async def _ask(self, method: str, arguments: Mapping[str, Any], limit_s: float | None) -> Any:
        signature = signature_of(self._kind.protocol, method)
        body = await body_of(arguments, large=True)
        calls = await self._open()
        try:
            async with asyncio.timeout(limit_s):
                return await calls.ask(method, body, signature)
        except NotSent as error:
            self._abandon()
            raise WorkerLost(f"{calls.session.worker.epitaph()}; the log says why") from error
        except LmxError as error:
            if isinstance(error, WorkerLost):
                self._abandon()
            raise
        except BaseException:  # too late, or no longer wanted: whatever it is at, it would go on
            self._abandon()
            raise
        finally:
            self._rest()

    def describe(self) -> Mapping[str, Any]:
        """Whether there is a process."""
        running = self._calls is not None
        return {"state": "ready" if running else "stopped", "busy": self._one_at_a_time.locked()}

    async def stop(self, grace_s: float | None = None) -> None:
        """End its process."""
        self._closed = True
        if self._idle:
            self._idle.cancel()
        calls, self._calls = self._calls, None
        if calls:
            grace_s = self._assignment.settings.stop_grace_s if grace_s is None else grace_s
            await calls.session.worker.end(0 if self._one_at_a_time.locked() else grace_s)
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _open(self) -> PartCalls:
        if self._idle:
            self._idle.cancel()
        if self._closed:
            raise self._unavailable("the server is shutting down")
        if self._calls is not None and self._calls.session.worker.gone.done():
            self._calls = None
        if self._calls is None:
            session = Session(self._assignment, self._take, self._log)
            try:
                await session.open()
            except LmxError as error:
                raise self._unavailable(error.message) from error
            self._calls = PartCalls(session)
            self._keep(asyncio.create_task(self._watch(session)))
        return self._calls

    async def _watch(self, session: Session) -> None:
        reason = await session.watch()
        self._log.info("worker_ended", part=self._kind.name, reason=reason)

    def _take(self, frame: Any) -> None:
        if self._calls:
            self._calls.take(frame)

    def _abandon(self) -> None:
        """Kill its process without waiting for the end of it."""
        calls, self._calls = self._calls, None
        if calls:
            self._keep(asyncio.create_task(calls.session.worker.kill()))

    def _rest(self) -> None:
        if self._calls and not self._closed:
            self._idle = asyncio.get_running_loop().call_later(self._idle_s, self._end_idle)

    def _end_idle(self) -> None:
        calls = self._calls
        if calls and not self._one_at_a_time.locked():
            self._calls = None
            self._keep(asyncio.create_task(calls.session.worker.end(self._assignment.settings.stop_grace_s)))

    def _keep(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _unavailable(self, reason: str) -> Unavailable:
        return Unavailable(f"the {self._kind.name} is not there: {reason}", code=self._kind.unavailable)
