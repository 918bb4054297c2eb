"""The downloads of this run of the server: a few at a time, the others wait."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from attrs import define, field

from lmx.downloads.download import Download, wanted
from lmx.downloads.offers import LIFETIME_S, Offers
from lmx.downloads.space import free_bytes, require_space
from lmx.state.keeper import kept_nowhere
from lmx.structure import StructureError, unstructure
from lmx_hookspecs import (
    Downloader,
    DownloadOffer,
    DownloadRequest,
    DownloadState,
    DownloadStatus,
    EventsService,
    JobState,
    JobStatus,
    LmxError,
    LoadOptions,
    Logger,
    RemoteModel,
)
from lmx_hookspecs.errors import Conflict, NotFound, Unavailable
from lmx_hookspecs.services import ModelsService

KEPT_DOWNLOADS = 100
"""Ended downloads that are remembered."""
LOOK_UPS_AT_ONCE = 2
"""Each holds a thread for as long as the hub takes to answer."""


class JobRunner(Protocol):
    """What is needed of the jobs service."""

    def start(
        self, name: str, arguments: Mapping[str, Any], *, on_change: Callable[[JobStatus], None] = ...
    ) -> JobStatus:
        """Begin a job, and tell of each progress and of its end."""

    async def cancel(self, job_id: str) -> JobStatus:
        """End it; returns once its process is gone."""


@define(eq=False)
class Downloads:
    """The DownloadsService; `changed` is called whenever `snapshot` would say something else."""

    _downloader: Downloader | None
    _jobs: JobRunner
    _models: ModelsService
    _events: EventsService
    _log: Logger
    changed: Callable[[], None] = lambda: None
    _clock_s: Callable[[], float] = time.monotonic
    _wall_clock: Callable[[], float] = time.time
    _free_bytes: Callable[..., int] = free_bytes
    _kept: Callable[[], Awaitable[None]] = kept_nowhere
    """Awaited before a change is acknowledged: returns once what `changed` told of outlives a crash."""
    _offers: Offers = field(init=False)
    _downloads: dict[str, Download] = field(factory=dict, init=False)
    """Oldest first."""
    _tasks: set["asyncio.Task[None]"] = field(factory=set, init=False)
    _looking_up: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(LOOK_UPS_AT_ONCE), init=False)
    _closing: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._offers = Offers(self._clock_s)

    async def start(self, request: DownloadRequest, load: LoadOptions | None = None) -> DownloadStatus:
        """Begin, or find the one in progress; with `load`, the model is loaded once it is there."""
        status = self._joined(request, load) or await self._begin(request, load, await self._look_up(request))
        await self._kept()
        return status

    async def offer(self, request: DownloadRequest, load: LoadOptions | None = None) -> DownloadOffer:
        """A token with which `confirm` starts the download."""
        remote = await self._look_up(request)
        await self._check_space(remote)
        token = self._offers.make(request, load, remote)
        return DownloadOffer(token=token, request=request, size_bytes=remote.size_bytes, expires_s=LIFETIME_S)

    async def confirm(self, token: str) -> DownloadStatus:
        """Start what was offered; a token works once."""
        offer = self._offers.take(token)
        joined = self._joined(offer.request, offer.load)
        status = joined or await self._begin(offer.request, offer.load, offer.remote)
        await self._kept()
        return status

    def list(self) -> Sequence[DownloadStatus]:
        """Newest first."""
        return [download.status() for download in reversed(self._downloads.values())]

    def get(self, download_id: str) -> DownloadStatus:
        """One; raises NotFound."""
        return self._download(download_id).status()

    async def cancel(self, download_id: str) -> DownloadStatus:
        """End it; what has come stays on disk. One that has ended is left as it is."""
        download = self._download(download_id)
        if download.in_progress and download.job_id is None:
            self._end(download, DownloadState.CANCELLED)
        elif download.in_progress:
            await self._jobs.cancel(str(download.job_id))
        await self._kept()
        return download.status()

    def downloading(self) -> Collection[str]:
        """The models that are on their way."""
        return {download.request.repo_id for download in self._in_progress()}

    def snapshot(self) -> Sequence[Mapping[str, Any]]:
        """Plain data with which `resume` goes on."""
        return [download.record() for download in self._in_progress()]

    def resume(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Start again, in the background, what was in progress when an earlier run of the server ended."""
        self._in_background(self._resume(records))

    async def close(self) -> None:
        """Cancel what runs; it goes on when it is asked for again."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(self.cancel(download.id) for download in self._in_progress()))

    def describe(self) -> Mapping[str, Any]:
        """How many run and wait."""
        running = len(self._running())
        return {"running": running, "waiting": len(self._in_progress()) - running}

    async def _look_up(self, request: DownloadRequest) -> RemoteModel:
        if self._downloader is None:
            raise Unavailable(
                "no active plugin downloads models; `lmx plugins list` shows what is active, and why others are not",
                code="no_downloader",
            )
        async with self._looking_up:
            return await asyncio.to_thread(self._downloader.look_up, request)

    async def _check_space(self, remote: RemoteModel) -> None:
        free = await asyncio.to_thread(self._free_bytes, remote.destination)
        others = [download for download in self._in_progress() if download.request.repo_id != remote.repo_id]
        promised = sum(download.missing_bytes for download in others)
        require_space(remote, free=free, promised=promised)

    def _joined(self, request: DownloadRequest, load: LoadOptions | None) -> DownloadStatus | None:
        """The download of the same repository, if there is one in progress; it is loaded if anybody asks for that."""
        for download in self._in_progress():
            if download.request.repo_id != request.repo_id:
                continue
            if _plain(download.request) != _plain(request):
                raise Conflict(
                    f"another revision, or other files, of {request.repo_id} are being downloaded ({download.id}); "
                    "wait for it to end, or cancel it",
                    param="repo_id",
                )
            if load is not None:
                download.load = load
                self.changed()
            return download.status()
        return None

    async def _begin(self, request: DownloadRequest, load: LoadOptions | None, remote: RemoteModel) -> DownloadStatus:
        await self._check_space(remote)
        joined = self._joined(request, load)  # somebody else may have begun while we looked it up
        if joined:
            return joined
        if self._closing:
            raise Unavailable("the server is shutting down; ask again once it is back", code="overloaded")
        download = self._new(request, load)
        download.total_bytes, download.downloaded_bytes = remote.size_bytes, remote.present_bytes
        download.files_total = len(remote.files)
        self._tell("download_started", download, total_bytes=download.total_bytes)
        self.changed()
        self._start_next()
        return download.status()

    def _new(self, request: DownloadRequest, load: LoadOptions | None) -> Download:
        download = Download(
            id=secrets.token_hex(6),
            request=request,
            load=load,
            announce_progress=lambda download: self._events.publish("download_progress", download.progress()),
            started_at=self._wall_clock(),
            began_s=self._clock_s(),
        )
        self._downloads[download.id] = download
        return download

    def _start_next(self) -> None:
        limit = self._downloader.max_concurrent if self._downloader else 0
        for download in self._in_progress():
            if not self._closing and download.job_id is None and len(self._running()) < limit:
                self._launch(download)

    def _launch(self, download: Download) -> None:
        name = self._downloader.job if self._downloader else ""
        try:
            job = self._jobs.start(name, unstructure(download.request), on_change=partial(self._heard, download))
        except LmxError as error:
            self._end(download, DownloadState.FAILED, error.message)
        else:
            download.job_id = job.id

    def _heard(self, download: Download, job: JobStatus) -> None:
        """Its job got further, or ended."""
        download.advance(job.facts)
        match job.state:
            case JobState.COMPLETED:
                self._complete(download, str((job.result or {}).get("path", "")))
            case JobState.FAILED:
                self._end(download, DownloadState.FAILED, job.error or "the job failed without a reason")
            case JobState.CANCELLED:
                self._end(download, DownloadState.CANCELLED)
        if not download.in_progress:
            self._start_next()

    def _complete(self, download: Download, path: str) -> None:
        took_s = self._clock_s() - download.began_s
        self._end(download, DownloadState.COMPLETED, local_path=path, duration_sec=round(took_s, 3))
        if download.load is not None and not self._closing:
            self._in_background(self._load(download, download.load))

    def _end(self, download: Download, state: DownloadState, error: str | None = None, **facts: Any) -> None:
        download.end(state, error, self._wall_clock())
        self._tell(f"download_{state}", download, **facts, **({"error": error} if error else {}))
        ended = [known.id for known in self._downloads.values() if not known.in_progress]
        for download_id in ended[:-KEPT_DOWNLOADS]:
            del self._downloads[download_id]
        if not self._closing:
            self.changed()

    async def _load(self, download: Download, options: LoadOptions) -> None:
        model_id = download.request.repo_id
        try:
            await self._models.load(model_id, options)
        except Exception as error:  # nobody waits for this load: whatever it ends in must be seen where one looks
            reason = error.message if isinstance(error, LmxError) else f"{type(error).__name__}: {error}"
            download.error = f"it is downloaded, and could not be loaded: {reason}"
            self._events.publish("auto_load_failed", {**download.facts(), "model_id": model_id, "error": reason})
            bug = None if isinstance(error, LmxError) else error
            self._log.error("auto_load_failed", model=model_id, reason=reason, exc_info=bug)

    async def _resume(self, records: Sequence[Mapping[str, Any]]) -> None:
        for record in records:
            try:
                request, load = wanted(record)
            except (StructureError, LookupError, TypeError, AttributeError) as error:
                self._log.warning("download_not_resumed", record=record, reason=str(error))
                continue
            try:
                await self.start(request, load)
            except LmxError as error:
                self._end(self._new(request, load), DownloadState.FAILED, error.message)

    def _tell(self, event: str, download: Download, **facts: Any) -> None:
        self._events.publish(event, {**download.facts(), **facts})
        self._log.info(event, download=download.id, repository=download.request.repo_id, **facts)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _in_progress(self) -> Sequence[Download]:
        return [download for download in self._downloads.values() if download.in_progress]

    def _running(self) -> Sequence[Download]:
        return [download for download in self._in_progress() if download.job_id is not None]

    def _download(self, download_id: str) -> Download:
        if download_id not in self._downloads:
            raise NotFound(
                f"there is no download '{download_id[:64]}'; the list has those in progress and the last "
                f"{KEPT_DOWNLOADS} that ended",
                code="download_not_found",
                param="download_id",
            )
        return self._downloads[download_id]


def _plain(request: DownloadRequest) -> Mapping[str, Any]:
    """What two requests for the same have in common, however their lists are written."""
    return {**unstructure(request), "revision": request.revision or "main"}
