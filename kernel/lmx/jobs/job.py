"""One job, from the start of its process to its end."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import define, evolve, field, frozen

from lmx.jobs.news import News
from lmx.workers import wire
from lmx.workers.process import Worker
from lmx.workers.versions import VERSIONS
from lmx_hookspecs.context import Logger
from lmx_hookspecs.errors import LmxError
from lmx_hookspecs.jobs import JobSpec, JobState, JobStatus

LOG_LEVELS = frozenset({"debug", "info", "warning", "error"})
EXIT_GRACE_S = 5.0
"""How long a process may take to end once it has told how its job ended."""


@frozen(kw_only=True)
class Order:
    """What a process is started for: names and plain data, from which it finds the recipe for itself."""

    spec: JobSpec
    plugin: str
    config: Mapping[str, Any]
    arguments: Mapping[str, Any]
    interpreter: Path | None = None
    """Of the plugin's own environment; None is ours."""

    def frame(self) -> Mapping[str, Any]:
        """The `job` frame."""
        return {"plugin": self.plugin, "job": self.spec.name, "config": self.config, "arguments": self.arguments}


@define(eq=False)
class Job:
    """A job and its process; `begin` it once."""

    _order: Order
    status: JobStatus
    _news: News
    _log: Logger
    _clock: Callable[[], float]
    """Unix time."""
    _worker: Worker = field(init=False)
    _answered: asyncio.Future[Mapping[str, Any] | LmxError] = field(init=False)
    """What the process said that the job came to."""
    _cancelled: asyncio.Future[float] = field(init=False)
    """How long the process may take to end by itself."""
    _life: asyncio.Task[None] = field(init=False)

    def __attrs_post_init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._worker = Worker(self._take, self._log, "lmx.workers.job_main", self._order.interpreter)
        self._answered, self._cancelled = loop.create_future(), loop.create_future()

    @property
    def running(self) -> bool:
        """Whether its end is still to come; after it, the process is gone."""
        return self.status.state is JobState.RUNNING

    def begin(self, on_end: Callable[[], None]) -> None:
        """Start its process; `on_end` is called once it has ended."""
        self._news.started(self.status)
        self._life = asyncio.create_task(self._live(), name=f"job-{self.status.id}")
        self._life.add_done_callback(lambda _: on_end())

    async def ended(self) -> None:
        """Wait for its end."""
        await asyncio.wait([self._life])

    async def cancel(self, grace_s: float) -> None:
        """End it; returns once its process is gone. What was completed meanwhile stays so."""
        if not self._answered.done() and not self._cancelled.done():
            self._cancelled.set_result(grace_s)
        await self.ended()

    def describe(self) -> Mapping[str, Any]:
        """Plain facts for operators."""
        status = self.status
        return {"id": status.id, "name": status.name, "fraction": status.fraction, "note": status.note}

    async def _live(self) -> None:
        try:
            outcome = await self._work()
        except LmxError as error:
            outcome = error
        except Exception as error:  # the boundary around a job: who waits for its end must see one, whatever happened
            self._log.error("job_broke", job=self.status.id, exc_info=error)
            outcome = LmxError(f"the job could not be run: {type(error).__name__}: {error}")
        self._end(outcome)

    async def _work(self) -> Mapping[str, Any] | LmxError:
        await self._worker.spawn(await asyncio.to_thread(self._order.spec.environment))
        try:
            self._log.info("job_started", job=self.status.id, name=self.status.name, pid=self._worker.pid)
            self._worker.send("hello", VERSIONS)
            self._worker.send("job", self._order.frame())
            await _first_of(self._answered, self._cancelled, self._worker.gone)
            if self._cancelled.done():
                await self._worker.end(self._cancelled.result())
            await _first_of(self._worker.gone, limit_s=EXIT_GRACE_S)
        finally:
            await self._worker.kill()
        if self._answered.done():
            return self._answered.result()
        return LmxError(f"{self._worker.epitaph()}; the log says why")

    def _take(self, frame: Any) -> None:
        match frame:
            case ["progress", fraction, note, facts] if not self._answered.done():
                self.status = evolve(self.status, fraction=fraction, note=note, facts=facts)
                self._news.progressed(self.status)
            case ["log", level, event, facts] if level in LOG_LEVELS:
                getattr(self._log, level)(event, **{"job": self.status.id, **facts})
            case ["result", _, value] if not self._answered.done():
                self._answered.set_result(value)
            case ["failed", _, error] if not self._answered.done():
                self._answered.set_result(wire.error_from_wire(error))

    def _end(self, outcome: Mapping[str, Any] | LmxError) -> None:
        facts = {"job": self.status.id, "name": self.status.name}
        if not isinstance(outcome, LmxError):
            self._log.info("job_completed", **facts)
            self._become(JobState.COMPLETED, fraction=1.0, result=outcome)
        elif self._cancelled.done():
            self._log.info("job_cancelled", **facts)
            self._become(JobState.CANCELLED)
        else:
            reason, last_lines = outcome.detail or outcome.message, self._worker.last_lines()
            self._log.warning("job_failed", **facts, reason=reason, last_lines=last_lines)
            self._become(JobState.FAILED, error=outcome.message, error_code=outcome.code)

    def _become(self, state: JobState, **changes: Any) -> None:
        self.status = evolve(self.status, state=state, finished_at=self._clock(), **changes)
        self._news.ended(self.status)


async def _first_of(*futures: asyncio.Future[Any], limit_s: float | None = None) -> None:
    await asyncio.wait(futures, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
