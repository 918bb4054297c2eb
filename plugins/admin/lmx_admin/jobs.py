"""Long work in processes of its own."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from lmx_admin.wire import reply
from lmx_hookspecs import Context, JobState, JobStatus, Request, Response


@frozen(kw_only=True)
class JobAnswer:
    """A job. Times are Unix times in seconds."""

    job_id: str
    name: str
    status: JobState
    arguments: Mapping[str, Any]
    progress_percent: float
    note: str
    facts: Mapping[str, float]
    """The numbers of its last progress."""
    result: Mapping[str, Any] | None
    error: str | None
    started_at: float
    finished_at: float | None


@frozen(kw_only=True)
class JobsAnswer:
    """The jobs of this run, newest first."""

    jobs: Sequence[JobAnswer]
    count: int


async def listing(ctx: Context, _request: Request) -> Response:
    """The jobs of this run."""
    found = [_job(job) for job in ctx.services.jobs.list()]
    return reply(JobsAnswer(jobs=found, count=len(found)))


async def one(ctx: Context, request: Request) -> Response:
    """One job."""
    return reply(_job(ctx.services.jobs.get(request.path_params["job_id"])))


async def cancel(ctx: Context, request: Request) -> Response:
    """End one; an ended one is left as it is."""
    return reply(_job(await ctx.services.jobs.cancel(request.path_params["job_id"])))


def percent(job: JobStatus) -> float:
    """How far it is."""
    return round(100 * job.fraction, 1)


def _job(job: JobStatus) -> JobAnswer:
    return JobAnswer(
        job_id=job.id,
        name=job.name,
        status=job.state,
        arguments=job.arguments,
        progress_percent=percent(job),
        note=job.note,
        facts=job.facts,
        result=job.result,
        error=job.error,
        started_at=job.started_at,
        finished_at=job.finished_at,
    )
