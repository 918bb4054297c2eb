"""The jobs of this run of the server."""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, field

from lmx.jobs.job import Job, Order
from lmx.jobs.news import News, OnChange, ignore_change
from lmx.plugins import Offer
from lmx.structure import StructureError, did_you_mean, structure, unstructure
from lmx_hookspecs.context import Logger
from lmx_hookspecs.errors import Busy, InvalidRequest, NotFound, Unavailable
from lmx_hookspecs.events import EventsService
from lmx_hookspecs.jobs import JobSpec, JobState, JobStatus

KEPT_JOBS = 200
"""Ended jobs that are remembered."""
RETRY_BUSY_S = 30.0


@define(eq=False)
class Jobs:
    """The JobsService over what `offers` gives: the JobSpecs of the plugins that are active at the moment."""

    _offers: Callable[[], Sequence[Offer]]
    _plugin_config: Callable[[str], Mapping[str, Any]]
    """A plugin's configuration as plain data."""
    _events: EventsService
    _log: Logger
    _stop_grace_s: float
    """How long a cancelled job may take to end by itself."""
    _clock: Callable[[], float] = time.time
    _interpreter_of: Callable[[str], Path | None] = lambda _: None
    """Of the environment of a plugin's own; None is ours."""
    _jobs: dict[str, Job] = field(factory=dict, init=False)
    """Oldest first."""
    _closing: bool = field(default=False, init=False)

    def start(self, name: str, arguments: Mapping[str, Any], *, on_change: OnChange = ignore_change) -> JobStatus:
        """Begin a job; `on_change` is told of each progress and of the end, in order.

        Raises InvalidRequest, NotFound for an unknown name, Busy, Unavailable once the server stops.
        """
        offer = self._offer(name)
        plain = _validated(offer.spec, arguments)
        self._check_room(offer.spec)
        status = JobStatus(
            id=secrets.token_hex(6), name=name, arguments=plain, state=JobState.RUNNING, started_at=self._clock()
        )
        order = Order(
            spec=offer.spec,
            plugin=offer.plugin,
            config=self._plugin_config(offer.plugin),
            arguments=plain,
            interpreter=self._interpreter_of(offer.plugin),
        )
        job = self._jobs[status.id] = Job(order, status, News(self._events, on_change), self._log, self._clock)
        job.begin(self._forget_oldest)
        return status

    def list(self, name: str | None = None) -> Sequence[JobStatus]:
        """Newest first."""
        return [job.status for job in reversed(self._jobs.values()) if name in (None, job.status.name)]

    def get(self, job_id: str) -> JobStatus:
        """One; raises NotFound."""
        return self._job(job_id).status

    async def cancel(self, job_id: str) -> JobStatus:
        """End its process; returns once it is gone. An ended job is left as it is."""
        job = self._job(job_id)
        await job.cancel(self._stop_grace_s)
        return job.status

    async def wait(self, job_id: str) -> JobStatus:
        """Once it has ended, however it did."""
        job = self._job(job_id)
        await job.ended()
        return job.status

    async def close(self, grace_s: float | None = None) -> None:
        """Cancel what runs, and start nothing more; each process gets `grace_s` to end by itself."""
        self._closing = True
        limit_s = self._stop_grace_s if grace_s is None else grace_s
        await asyncio.gather(*(job.cancel(limit_s) for job in self._running()))

    def describe(self) -> Mapping[str, Any]:
        """What runs, and how many ended ones are remembered."""
        running = self._running()
        return {"running": [job.describe() for job in running], "ended": len(self._jobs) - len(running)}

    def _running(self) -> Sequence[Job]:
        return [job for job in self._jobs.values() if job.running]

    def _offer(self, name: str) -> Offer:
        offers = {offer.spec.name: offer for offer in self._offers()}
        if name not in offers:
            raise NotFound(f"no active plugin offers a job '{name}'{did_you_mean(name, offers)}", param="name")
        return offers[name]

    def _job(self, job_id: str) -> Job:
        if job_id not in self._jobs:
            raise NotFound(
                f"there is no job '{job_id}'; the list of jobs has those that run and the last {KEPT_JOBS} that ended",
                code="job_not_found",
                param="job_id",
            )
        return self._jobs[job_id]

    def _check_room(self, spec: JobSpec) -> None:
        if self._closing:
            raise Unavailable("the server is shutting down; start the job again once it is back", code="overloaded")
        running = [job.status.id for job in self._running() if job.status.name == spec.name]
        if len(running) >= spec.max_running:
            raise Busy(
                f"{spec.max_running} of the jobs '{spec.name}' may run at once, and {', '.join(running)} "
                f"{'does' if len(running) == 1 else 'do'}; wait for one to end, or cancel one",
                retry_after_s=RETRY_BUSY_S,
            )

    def _forget_oldest(self) -> None:
        ended = [job_id for job_id, job in self._jobs.items() if not job.running]
        for job_id in ended[:-KEPT_JOBS]:
            del self._jobs[job_id]


def _validated(spec: JobSpec, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """All arguments, defaults included, as plain data; raises InvalidRequest with every problem."""
    try:
        plain: Mapping[str, Any] = unstructure(structure(dict(arguments), spec.arguments))
    except StructureError as error:
        raise InvalidRequest(str(error), param=error.problems[0].where or None) from error
    return plain
