"""Stand-ins around the downloads service: a downloader, a jobs service and models that do what a test says."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from attrs import define, evolve, field

from kernel_support import Log
from lmx.downloads import Downloads
from lmx_hookspecs import DownloadRequest, JobState, JobStatus, LoadOptions, RemoteFile, RemoteModel
from lmx_hookspecs.errors import LmxError, ModelNotFound
from lmx_hookspecs.testing import FakeEvents


@define(eq=False)
class ScriptedDownloader:
    """Every repository has two files of 500 bytes."""

    max_concurrent: int = 2
    present_bytes: int = 0
    error: LmxError | None = None
    asked: list[str] = field(factory=list)
    job: str = "fetch"

    def look_up(self, request: DownloadRequest) -> RemoteModel:
        self.asked.append(request.repo_id)
        if self.error:
            raise self.error
        files = [RemoteFile(path=name, size_bytes=500) for name in ("config.json", "model.safetensors")]
        return RemoteModel(
            repo_id=request.repo_id,
            commit="c" * 40,
            files=files,
            destination=Path("/nowhere"),
            present_bytes=self.present_bytes,
        )


@define(eq=False)
class ScriptedJobs:
    """Jobs that do what the test tells them to."""

    statuses: dict[str, JobStatus] = field(factory=dict)
    listeners: dict[str, Callable[[JobStatus], None]] = field(factory=dict)
    error: LmxError | None = None

    def start(
        self, name: str, arguments: Mapping[str, Any], *, on_change: Callable[[JobStatus], None] = lambda _: None
    ) -> JobStatus:
        if self.error:
            raise self.error
        status = JobStatus(id=f"job-{len(self.statuses)}", name=name, arguments=arguments, state=JobState.RUNNING)
        self.statuses[status.id], self.listeners[status.id] = status, on_change
        return status

    async def cancel(self, job_id: str) -> JobStatus:
        return self.tell(job_id, state=JobState.CANCELLED)

    def tell(self, job_id: str, **changes: Any) -> JobStatus:
        """Have a job get further, or end."""
        self.statuses[job_id] = evolve(self.statuses[job_id], **changes)
        self.listeners[job_id](self.statuses[job_id])
        return self.statuses[job_id]

    def complete(self, job_id: str) -> None:
        """Have it end well."""
        self.tell(job_id, state=JobState.COMPLETED, result={"path": "/models/here"})

    @property
    def running(self) -> list[str]:
        """What runs: repositories."""
        running = [status for status in self.statuses.values() if status.state is JobState.RUNNING]
        return [status.arguments["repo_id"] for status in running]


@define(eq=False)
class ScriptedModels:
    """Keeps what is to be loaded."""

    error: Exception | None = None
    loads: list[tuple[str, LoadOptions]] = field(factory=list)

    async def load(self, model_id: str, options: LoadOptions) -> None:
        self.loads.append((model_id, options))
        if self.error:
            raise self.error


@define(eq=False)
class Scene:
    """A downloads service, and everything around it."""

    downloader: ScriptedDownloader = field(factory=ScriptedDownloader)
    jobs: ScriptedJobs = field(factory=ScriptedJobs)
    models: ScriptedModels = field(factory=ScriptedModels)
    events: FakeEvents = field(factory=FakeEvents)
    log: Log = field(factory=Log)
    now_s: float = 0.0
    free_bytes: int = 10_000
    changes: int = 0
    downloads: Downloads = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.downloads = Downloads(
            self.downloader,
            self.jobs,
            cast("Any", self.models),
            cast("Any", self.events),
            self.log,
            changed=self._changed,
            clock_s=lambda: self.now_s,
            wall_clock=lambda: 1000.0 + self.now_s,
            free_bytes=lambda _path: self.free_bytes,
        )

    def _changed(self) -> None:
        self.changes += 1

    def told(self, event: str) -> list[Mapping[str, Any]]:
        """What was published under that name."""
        return [data for name, data in self.events.published if name == event]


def wanted(repo_id: str = "org/name", **fields: Any) -> DownloadRequest:
    return DownloadRequest(repo_id=repo_id, **fields)


NOT_FOUND = ModelNotFound("the hub has no such model")
