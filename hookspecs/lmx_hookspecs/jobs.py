"""Long work in a worker process, with progress and cancel."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Literal, Protocol

from attrs import field, frozen

from lmx_hookspecs.context import WorkerContext


class Progress(Protocol):
    """Tells how far a job is."""

    def __call__(self, fraction: float, note: str = "", **facts: float) -> None:
        """`fraction` from 0 to 1, a word for people, and numbers such as `downloaded_bytes`.

        Any thread may call it, as often as it likes: some ten a second are sent, the last one always.
        """


@frozen(kw_only=True)
class JobSpec:
    """A kind of job.

    `run(ctx, arguments, progress)` runs in the main thread of a process of its own; it calls `progress` as it goes and
    returns a mapping of plain data. Cancel raises KeyboardInterrupt in it, so that it can clear away what it began, and
    ends the process within seconds, whatever it does then. What it had half done must not look finished: write beside,
    then rename.
    """

    name: str
    """Unique among the jobs of all plugins."""
    arguments: type
    """attrs class of its arguments, which operators can see: no secrets."""
    run: Callable[[WorkerContext, Any, Progress], Mapping[str, Any]]
    isolation: Literal["process"] = "process"
    environment: Callable[[], Mapping[str, str]] = field(default=dict)
    """Adds to the process's environment; called in the kernel, so it must not import what the job needs."""
    max_running: int = 2
    """How many may run at once; one more is refused as Busy."""


class JobState(StrEnum):
    """How far a job is."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@frozen(kw_only=True)
class JobStatus:
    """A job as operators see it."""

    id: str
    name: str
    arguments: Mapping[str, Any]
    state: JobState
    fraction: float = 0.0
    note: str = ""
    facts: Mapping[str, float] = field(factory=dict)
    """The numbers of its last progress."""
    result: Mapping[str, Any] | None = None
    error: str | None = None
    error_code: str | None = None
    """The code of the LmxError that it failed with; `internal_error` for any other end."""
    started_at: float = 0.0
    """Unix time in seconds, as `finished_at`."""
    finished_at: float | None = None
