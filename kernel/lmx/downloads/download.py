"""One download, from the moment it is accepted until it is there, failed or cancelled."""

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field

from lmx.jobs.throttle import Throttle
from lmx.structure import structure, unstructure
from lmx_hookspecs import DownloadRequest, DownloadState, DownloadStatus, LoadOptions, RemoteModel

PROGRESS_INTERVAL_S = 0.5
"""Between two progress events: people watch them."""


@define(eq=False, kw_only=True)
class Download:
    """`job_id` is None while it waits for others to end."""

    id: str
    request: DownloadRequest
    load: LoadOptions | None
    announce_progress: Callable[["Download"], None]
    total_bytes: int = 0
    downloaded_bytes: int = 0
    files_total: int = 0
    files_completed: int = 0
    state: DownloadState = DownloadState.DOWNLOADING
    error: str | None = None
    """Why it ended, or what one of an earlier run waits for."""
    job_id: str | None = None
    planned: bool = True
    """Whether it is known what it brings; not yet where it is left over from an earlier run."""
    started_at: float
    """Unix time in seconds, as `finished_at`; how long it took is measured by `began_s`, on the monotonic clock."""
    finished_at: float | None = None
    began_s: float
    _progress: Throttle = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._progress = Throttle(lambda: self.announce_progress(self), PROGRESS_INTERVAL_S)

    @property
    def in_progress(self) -> bool:
        """Whether it runs, or waits to."""
        return self.state is DownloadState.DOWNLOADING

    @property
    def missing_bytes(self) -> int:
        """What is still to come."""
        return max(self.total_bytes - self.downloaded_bytes, 0) if self.in_progress else 0

    def expect(self, remote: RemoteModel) -> None:
        """It is known what it brings."""
        self.planned, self.error = True, None
        self.total_bytes, self.downloaded_bytes = remote.size_bytes, remote.present_bytes
        self.files_total = len(remote.files)

    def advance(self, facts: Mapping[str, float]) -> None:
        """Take over how far its job is."""
        for name in ("total_bytes", "downloaded_bytes", "files_total", "files_completed"):
            if name in facts:
                setattr(self, name, int(facts[name]))
        self._progress()

    def end(self, state: DownloadState, error: str | None, finished_at: float) -> None:
        """It is over, and nothing more is told of its progress."""
        self.state, self.error, self.finished_at = state, error, finished_at
        self._progress.close()

    def status(self) -> DownloadStatus:
        """What operators see."""
        return DownloadStatus(
            id=self.id,
            request=self.request,
            state=self.state,
            total_bytes=self.total_bytes,
            downloaded_bytes=self.downloaded_bytes,
            files_total=self.files_total,
            files_completed=self.files_completed,
            error=self.error,
            started_at=self.started_at,
            finished_at=self.finished_at,
            loads=self.load is not None,
        )

    def facts(self) -> Mapping[str, Any]:
        """What every event about it says."""
        return {"download_id": self.id, "repo_id": self.request.repo_id}

    def progress(self) -> Mapping[str, Any]:
        """What an event about its progress says."""
        percent = 100 * self.downloaded_bytes / self.total_bytes if self.total_bytes else 0.0
        return {
            **self.facts(),
            "downloaded_bytes": self.downloaded_bytes,
            "total_bytes": self.total_bytes,
            "progress_percent": round(percent, 1),
            "files_completed": self.files_completed,
            "files_total": self.files_total,
        }

    def record(self) -> Mapping[str, Any]:
        """Plain data with which it can be started again; `wanted` reads it."""
        return {"request": unstructure(self.request), "load": unstructure(self.load)}


def wanted(record: Mapping[str, Any]) -> tuple[DownloadRequest, LoadOptions | None]:
    """What a record asks for; raises StructureError, or KeyError for what is no record."""
    load = record.get("load")
    return structure(record["request"], DownloadRequest), None if load is None else structure(load, LoadOptions)


def plain(request: DownloadRequest) -> Mapping[str, Any]:
    """What two requests for the same have in common, however their lists are written."""
    return {**unstructure(request), "revision": request.revision or "main"}
