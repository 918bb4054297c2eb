"""Quantise jobs: a model on disk becomes a smaller one beside it."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from attrs import frozen

from lmx_admin.jobs import percent
from lmx_admin.wire import gb, named_in_error, reply
from lmx_hookspecs import Context, JobState, JobStatus, ModelInfo, Request, Response, option
from lmx_hookspecs.errors import Conflict, InvalidRequest, NotFound, Unavailable
from lmx_hookspecs.places import quantized_models

JOB = "quantize"
USUAL_BITS = 4
ROOM_IN_NAME = "-" * 16
"""What a job may add to the name of its output while it is not complete."""


@frozen(kw_only=True)
class ModelToQuantize:
    """The body of `POST /admin/quantize`."""

    source_model: str = option(doc="id of a model on disk", min_length=1, max_length=1024)
    output_path: str | None = option(
        None,
        "a new folder below $LMX_HOME/quantized or one of models.directories; null names it after model and bits",
        min_length=1,
        max_length=1024,
    )
    bits: Literal[4, 8] | None = option(None, "bits of a weight; null is what the mode takes: 4 for affine")
    group_size: int | None = option(
        None, "weights that share a scale; null is what the mode takes: 64 for affine", ge=1
    )
    mode: Literal["affine", "mxfp4", "nvfp4", "mxfp8"] = option("affine", "how weights are written")


@frozen(kw_only=True)
class QuantizeAnswer:
    """A quantise job. Times are Unix times in seconds; what it made is known once it is completed."""

    job_id: str
    source_model: str
    output_path: str
    bits: int
    group_size: int
    mode: str
    status: JobState
    progress_percent: float
    note: str
    started_at: float
    completed_at: float | None
    duration_sec: float | None
    output_size_bytes: int | None
    output_size_gb: float | None
    error: str | None


@frozen(kw_only=True)
class QuantizeJobs:
    """The quantise jobs of this run, newest first."""

    jobs: Sequence[QuantizeAnswer]
    count: int


async def start(ctx: Context, request: Request) -> Response:
    """Begin a job."""
    asked: ModelToQuantize = request.body
    with named_in_error("source_model"):
        info = (await ctx.services.models.get(asked.source_model)).info
    source = _source(info)
    output = await asyncio.to_thread(_output, ctx, asked.output_path or _default_name(asked))
    wanted = {
        "source_model": info.id,
        "source_path": str(source),
        "output_path": str(output),
        "bits": asked.bits,
        "group_size": asked.group_size,
        "mode": asked.mode,
    }
    job = _started(ctx, {name: value for name, value in wanted.items() if value is not None})
    return reply(_job(job))


async def listing(ctx: Context, _request: Request) -> Response:
    """The quantise jobs of this run."""
    found = [_job(job) for job in ctx.services.jobs.list(JOB)]
    return reply(QuantizeJobs(jobs=found, count=len(found)))


async def one(ctx: Context, request: Request) -> Response:
    """One quantise job."""
    return reply(_job(_known(ctx, request.path_params["job_id"])))


async def cancel(ctx: Context, request: Request) -> Response:
    """End one; what it had half done is no model."""
    job = _known(ctx, request.path_params["job_id"])
    return reply(_job(await ctx.services.jobs.cancel(job.id)))


async def refuse_while_quantised(ctx: Context, model_id: str) -> None:
    """Raises Conflict while a job reads the files of this model, under whatever id."""
    running = [job for job in ctx.services.jobs.list(JOB) if job.state is JobState.RUNNING]
    if not running:
        return
    paths = [status.info.path for status in await ctx.services.models.list() if status.info.id == model_id]
    for job in running:
        source = Path(job.arguments["source_path"])
        if await asyncio.to_thread(_is_read_from, source, [path for path in paths if path is not None]):
            raise Conflict(
                f"model {model_id!r} is being quantised; wait for job {job.id}, or cancel it",
                code="model_in_use",
                param="model_id",
            )


def _is_read_from(source: Path, paths: Sequence[Path]) -> bool:
    return any(source.resolve().is_relative_to(path.resolve()) for path in paths)


def _source(info: ModelInfo) -> Path:
    if info.path is None or info.format != "safetensors":
        raise InvalidRequest(
            f"model {info.id} is no folder of safetensors ({info.format}); only those can be quantised",
            param="source_model",
        )
    return info.path


def _default_name(asked: ModelToQuantize) -> str:
    form = f"{asked.bits or USUAL_BITS}bit" if asked.mode == "affine" else asked.mode
    return f"{asked.source_model.replace('/', '--')}-{form}"


def _output(ctx: Context, wanted: str) -> Path:
    """Where the model goes; looks at the disk. Raises InvalidRequest outside the model folders, and Conflict."""
    own = quantized_models().resolve()
    directories = [path.resolve() for path in ctx.services.config.section("models").directories]
    try:
        path = (own / Path(wanted).expanduser()).resolve()
        taken = _exists(path)
        _check_names(path)
    except (OSError, RuntimeError, ValueError) as error:
        raise InvalidRequest(f"output_path cannot be used: {error}", param="output_path") from None
    if not any(folder in path.parents for folder in (own, *directories)):
        raise InvalidRequest(
            f"output_path {str(path)!r} is in no model folder; choose one below {own} or models.directories",
            param="output_path",
        )
    if taken:
        raise Conflict(f"{path} exists; choose another output_path, or delete it", param="output_path")
    model = next((parent for parent in path.parents if _is_model(parent)), None)
    if model is not None:
        raise InvalidRequest(
            f"output_path {str(path)!r} is inside the model at {model}; choose a folder beside it", param="output_path"
        )
    return path


def _is_model(folder: Path) -> bool:
    """By its files, since a listing may be older than a model that was made just now."""
    return any(folder.glob("*.safetensors"))


def _check_names(path: Path) -> None:
    """Raises OSError where its folders cannot be made, or its name leaves a job no room for one of its own."""
    existing = next(parent for parent in path.parents if _exists(parent))
    for name in path.relative_to(existing).parts:
        _exists(existing / f"{name}{ROOM_IN_NAME}")


def _exists(path: Path) -> bool:
    """Unlike Path.exists, raises OSError for a name that the file system does not take."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    return True


def _started(ctx: Context, arguments: Mapping[str, Any]) -> JobStatus:
    try:
        return ctx.services.jobs.start(JOB, arguments)
    except NotFound as error:
        raise Unavailable(
            "no active plugin quantises models; `lmx plugins list` shows which there are, and what they need",
            code="no_engine",
        ) from error


def _known(ctx: Context, job_id: str) -> JobStatus:
    job = ctx.services.jobs.get(job_id)
    if job.name != JOB:
        raise NotFound(
            f"{job_id} is no quantise job; GET /admin/quantize lists them", code="job_not_found", param="job_id"
        )
    return job


def _job(job: JobStatus) -> QuantizeAnswer:
    size_bytes = (job.result or {}).get("output_size_bytes")
    return QuantizeAnswer(
        job_id=job.id,
        source_model=job.arguments["source_model"],
        output_path=job.arguments["output_path"],
        bits=job.arguments["bits"],
        group_size=job.arguments["group_size"],
        mode=job.arguments["mode"],
        status=job.state,
        progress_percent=percent(job),
        note=job.note,
        started_at=job.started_at,
        completed_at=job.finished_at,
        duration_sec=None if job.finished_at is None else round(job.finished_at - job.started_at, 1),
        output_size_bytes=size_bytes,
        output_size_gb=None if size_bytes is None else gb(size_bytes),
        error=job.error,
    )
