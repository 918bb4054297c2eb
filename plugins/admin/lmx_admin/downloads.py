"""Downloads from a hub: start, watch, cancel."""

from collections.abc import Sequence

from attrs import frozen

from lmx_admin.wire import named_in_error, reply
from lmx_hookspecs import (
    Context,
    DownloadRequest,
    DownloadState,
    DownloadStatus,
    LoadOptions,
    Request,
    Response,
    option,
)


@frozen(kw_only=True)
class ModelToDownload:
    """The body of `POST /admin/models/download`."""

    repo_id: str = option(doc="name of the repository, such as org/model", min_length=1, max_length=256)
    revision: str | None = option(None, "branch, tag or commit; null is the main branch", min_length=1, max_length=256)
    allow_patterns: Sequence[str] | None = option(None, "only files that match one of these; null takes weights only")
    ignore_patterns: Sequence[str] | None = option(None, "no files that match one of these")
    load: bool = option(default=False, doc="load the model once it is here")


@frozen(kw_only=True)
class DownloadAnswer:
    """A download has begun, or was in progress."""

    download_id: str
    repo_id: str
    estimated_size_bytes: int
    status: DownloadState
    joined: bool
    """Whether it was in progress already."""


@frozen(kw_only=True)
class DownloadProgress:
    """How far a download is. Times are Unix times in seconds."""

    download_id: str
    repo_id: str
    revision: str | None
    status: DownloadState
    progress_percent: float
    downloaded_bytes: int
    total_bytes: int
    files_completed: int
    files_total: int
    error: str | None
    started_at: float
    finished_at: float | None
    loads: bool
    """Whether the model is loaded once it is here."""


@frozen(kw_only=True)
class DownloadsAnswer:
    """The downloads of this run, newest first."""

    downloads: Sequence[DownloadProgress]
    count: int


async def start(ctx: Context, request: Request) -> Response:
    """Begin a download, or find the one in progress."""
    asked: ModelToDownload = request.body
    wanted = DownloadRequest(
        repo_id=asked.repo_id,
        revision=asked.revision,
        allow_patterns=asked.allow_patterns,
        ignore_patterns=asked.ignore_patterns,
    )
    with named_in_error("repo_id"):
        download = await ctx.services.downloads.start(wanted, LoadOptions() if asked.load else None)
    return reply(
        DownloadAnswer(
            download_id=download.id,
            repo_id=download.request.repo_id,
            estimated_size_bytes=download.total_bytes,
            status=download.state,
            joined=download.joined,
        )
    )


async def listing(ctx: Context, _request: Request) -> Response:
    """The downloads of this run."""
    found = [_progress(download) for download in ctx.services.downloads.list()]
    return reply(DownloadsAnswer(downloads=found, count=len(found)))


async def progress(ctx: Context, request: Request) -> Response:
    """How far one is."""
    return reply(_progress(ctx.services.downloads.get(request.path_params["download_id"])))


async def cancel(ctx: Context, request: Request) -> Response:
    """End one; what has come is kept for the next."""
    return reply(_progress(await ctx.services.downloads.cancel(request.path_params["download_id"])))


def _progress(download: DownloadStatus) -> DownloadProgress:
    return DownloadProgress(
        download_id=download.id,
        repo_id=download.request.repo_id,
        revision=download.request.revision,
        status=download.state,
        progress_percent=_percent(download),
        downloaded_bytes=download.downloaded_bytes,
        total_bytes=download.total_bytes,
        files_completed=download.files_completed,
        files_total=download.files_total,
        error=download.error,
        started_at=download.started_at,
        finished_at=download.finished_at,
        loads=download.loads,
    )


def _percent(download: DownloadStatus) -> float:
    if download.state is DownloadState.COMPLETED:
        return 100.0
    return round(100 * min(1.0, download.downloaded_bytes / download.total_bytes), 1) if download.total_bytes else 0.0
