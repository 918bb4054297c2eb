"""Keeps a worker process: what dies is started again, until it has died too often."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from attrs import define, field

from lmx.workers.deaths import Deaths
from lmx.workers.handle import EngineState, OnChange
from lmx.workers.session import Assignment, Session
from lmx_hookspecs.context import Logger
from lmx_hookspecs.errors import LmxError


class Stopped(Exception):
    """It was stopped while it loaded."""


class Client(Protocol):
    """What is done with a worker while there is one."""

    def take(self, frame: Any) -> None:
        """A frame from it."""

    def connect(self, session: Session) -> None:
        """It is ready."""

    def disconnect(self, reason: str, detail: str) -> None:
        """It is dead; `reason` reaches clients, `detail` operators. Another one follows, or `give_up`."""

    def give_up(self) -> None:
        """It was stopped, or has died too often: none will follow by itself."""


@define(eq=False)
class Supervisor:
    """One worker at a time."""

    assignment: Assignment
    _name: Mapping[str, str]
    """What it is called in the log, such as `{"model": "a"}`."""
    _client: Client
    _log: Logger
    _clock: Callable[[], float]
    _on_change: OnChange
    state: EngineState = field(default=EngineState.STOPPED, init=False)
    reason: str = field(default="not started", init=False)
    detail: str = field(default="not started", init=False)
    """The reason as operators get it."""
    session: Session | None = field(default=None, init=False)
    """The worker, while there is one that has loaded."""
    deaths: Deaths = field(init=False)
    _restart_at_s: float = field(default=0.0, init=False)
    _life: asyncio.Task[None] | None = field(default=None, init=False)
    """Loads, then supervises."""

    def __attrs_post_init__(self) -> None:
        settings = self.assignment.settings
        self.deaths = Deaths(
            self._clock,
            settings.quarantine_window_s,
            settings.quarantine_after,
            settings.restart_pause_s,
            settings.max_restart_pause_s,
        )

    @property
    def back_in_s(self) -> float:
        """When the next attempt at a restart is made."""
        return self._restart_at_s - self._clock()

    async def start(self) -> Session:
        """Start a worker; raises the LmxError that this ended in, and Stopped where `stop` came between."""
        self._change(EngineState.STARTING, f"{self.assignment.subject} is being loaded")
        self._life = asyncio.create_task(self._open(self._new_session()))
        try:
            await self._life
        except asyncio.CancelledError:
            if self.state is EngineState.STOPPED:  # by stop(), not by our caller
                raise Stopped from None
            self._change(EngineState.STOPPED, "the load was cancelled")
            raise
        except Exception as error:
            self._change(EngineState.STOPPED, str(error), getattr(error, "detail", None))
            raise
        if self.session is None:  # stopped in the very moment in which it was ready
            raise Stopped
        self._life = asyncio.create_task(self._supervise(self.session))
        return self.session

    async def stop(self, grace_s: float | None = None) -> None:
        """End the worker: asked, then told, then killed."""
        self._change(EngineState.STOPPED, f"{self.assignment.subject} is unloaded")
        self._client.give_up()
        if self._life:
            self._life.cancel()
            await asyncio.wait([self._life])
        if self.session:
            session, self.session = self.session, None
            await session.worker.end(self.assignment.settings.stop_grace_s if grace_s is None else grace_s)

    def _new_session(self) -> Session:
        return Session(self.assignment, self._client.take, self._log)

    async def _open(self, session: Session) -> None:
        await session.open()
        self.session = session
        self._change(EngineState.READY, f"{self.assignment.subject} is loaded")
        self._client.connect(session)

    async def _supervise(self, session: Session) -> None:
        while self.state is EngineState.READY:
            self._mourn(session, await session.watch())
            session = await self._restart(session)

    async def _restart(self, session: Session) -> Session:
        while self.state is EngineState.RESTARTING:
            self._restart_at_s = self._clock() + self.deaths.pause_s
            await asyncio.sleep(self.deaths.pause_s)
            session = self._new_session()
            try:
                await self._open(session)
            except LmxError as error:
                self._mourn(session, error.message)
            except Exception as error:  # the boundary around a restart: its requests wait for an end, whatever it is
                self._log.error("restart_failed", **self._name, exc_info=error)
                if self.session:  # it was loaded, and what came then went wrong
                    await self.session.worker.kill()
                subject, kind = self.assignment.subject, type(error).__name__
                self._mourn(session, f"{subject} could not be loaded: {kind}; the log says why")
        return session

    def _mourn(self, session: Session, reason: str) -> None:
        self.session = None
        self.deaths.record()
        self._log.warning(
            "worker_died",
            **self._name,
            reason=reason,
            last_lines=session.worker.last_lines(),
            deaths=self.deaths.total,
        )
        detail = session.detail(reason)
        self._client.disconnect(reason, detail)
        if self.deaths.too_many:
            how_many = f"{self.deaths.recent} workers died, the last one so: "
            self._change(EngineState.QUARANTINED, how_many + reason, how_many + detail)
            self._client.give_up()
        else:
            self._change(EngineState.RESTARTING, reason, detail)

    def _change(self, state: EngineState, reason: str, detail: str | None = None) -> None:
        self.state, self.reason, self.detail = state, reason, detail or reason
        self._on_change(state, self.detail)
