"""Long work in a worker process, with progress and cancel."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from attrs import frozen

from lmx_hookspecs.context import WorkerContext

Progress = Callable[[float, str], None]


@frozen(kw_only=True)
class JobSpec:
    """A kind of job.

    `run(ctx, arguments, progress)` runs in a process of its own, which cancel ends; it calls `progress(fraction,
    note)` as it goes and returns plain data.
    """

    name: str
    arguments: type
    """attrs class of its arguments."""
    run: Callable[[WorkerContext, Any, Progress], Mapping[str, Any]]
    isolation: Literal["process"] = "process"
