"""The downloads of this run of the server: a few at a time, the others wait."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from attrs import define, evolve, field

from lmx.downloads.download import Download, plain, wanted
from lmx.downloads.look_ups import LookUps
from lmx.downloads.offers import LIFETIME_S, Offers
from lmx.downloads.resuming import Resumer
from lmx.downloads.runner import JobRunner
from lmx.downloads.space import free_bytes
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
    _free_bytes: Callable[[Path], int] = free_bytes
    _pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    _kept: Callable[[], Awaitable[None]] = kept_nowhere
    """Awaited before a change is acknowledged: returns once what `changed` told of outlives a crash."""
    _offers: Offers = field(init=False)
    _downloads: dict[str, Download] = field(factory=dict, init=False)
    """Oldest first."""
    _tasks: set["asyncio.Task[None]"] = field(factory=set, init=False)
    _look_ups: LookUps = field(init=False)
    _resumer: Resumer = field(init=False)
    _closing: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._offers = Offers(self._clock_s)
        self._look_ups = LookUps(self._downloader, free_bytes=self._free_bytes)
        self._resumer = Resumer(self._find_out, self._fail, self._log, self._pause)

    async def start(self, request: DownloadRequest, load: LoadOptions | None = None) -> DownloadStatus:
        """Begin, or find the one in progress; with `load`, the model is loaded once it is there."""
        status = self._joined(request, load) or await self._begin(request, load, await self._look_ups.remote(request))
        await self._kept()
        return status

    async def offer(self, request: DownloadRequest, load: LoadOptions | None = None) -> DownloadOffer:
        """A token with which `confirm` starts the download."""
        remote = await self._look_ups.remote(request)
        await self._look_ups.check_space(remote, self._promised_bytes(remote.repo_id))
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
            self._resumer.drop(download)
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

    def resume(self, records: Sequence[Mapping[str, Any]], *, begin: bool = True) -> None:
        """Take over what was in progress when an earlier run of the server ended; without `begin` it waits to be asked.

        It is listed and recorded from here on, also while the hub cannot be reached.
        """
        for record in records:
            try:
                request, load = wanted(record)
            except (StructureError, LookupError, TypeError, AttributeError) as error:
                self._log.warning("download_not_resumed", record=record, reason=str(error))
                continue
            download = self._new(request, load)
            download.planned = False
            if begin:
                self._resumer.begin(download)

    async def close(self) -> None:
        """Cancel what runs; it goes on when it is asked for again."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(self._resumer.close(), *self._tasks, return_exceptions=True)
        self._look_ups.close()
        await asyncio.gather(*(self.cancel(download.id) for download in self._in_progress()))

    def describe(self) -> Mapping[str, Any]:
        """How many run and wait."""
        running = len(self._running())
        return {"running": running, "waiting": len(self._in_progress()) - running}

    def _promised_bytes(self, repo_id: str) -> int:
        """What the downloads of other repositories still need."""
        others = [download for download in self._in_progress() if download.request.repo_id != repo_id]
        return sum(download.missing_bytes for download in others)

    def _joined(self, request: DownloadRequest, load: LoadOptions | None) -> DownloadStatus | None:
        """The download of the same repository, if there is one in progress; it is loaded if anybody asks for that.

        What waits since an earlier run is tried now.
        """
        if self._closing:
            raise Unavailable("the server is shutting down; ask again once it is back", code="overloaded")
        for download in self._in_progress():
            if download.request.repo_id != request.repo_id:
                continue
            if plain(download.request) != plain(request):
                raise Conflict(
                    f"another revision, or other files, of {request.repo_id} are being downloaded ({download.id}); "
                    "wait for it to end, or cancel it",
                    param="repo_id",
                )
            if load is not None:
                download.load = load
                self.changed()
            joined = download.planned or self._resumer.begin(download)
            return evolve(download.status(), joined=joined)
        return None

    async def _begin(self, request: DownloadRequest, load: LoadOptions | None, remote: RemoteModel) -> DownloadStatus:
        await self._look_ups.check_space(remote, self._promised_bytes(remote.repo_id))
        joined = self._joined(request, load)  # somebody else may have begun while we looked it up
        if joined:
            return joined
        download = self._new(request, load)
        self._expect(download, remote)
        return download.status()

    def _expect(self, download: Download, remote: RemoteModel) -> None:
        download.expect(remote)
        self._tell("download_started", download, total_bytes=download.total_bytes)
        self.changed()
        self._start_next()

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
            if not self._closing and download.planned and download.job_id is None and len(self._running()) < limit:
                self._launch(download)

    def _launch(self, download: Download) -> None:
        name = self._downloader.job if self._downloader else ""
        try:
            job = self._jobs.start(name, unstructure(download.request), on_change=partial(self._heard, download))
        except LmxError as error:
            self._fail(download, error.message)
        else:
            download.job_id = job.id

    def _heard(self, download: Download, job: JobStatus) -> None:
        """Its job got further, or ended."""
        download.advance(job.facts)
        match job.state:
            case JobState.COMPLETED:
                self._complete(download, str((job.result or {}).get("path", "")))
            case JobState.FAILED:
                self._fail(download, job.error or "the job failed without a reason")
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

    def _fail(self, download: Download, reason: str) -> None:
        self._end(download, DownloadState.FAILED, reason)

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

    async def _find_out(self, download: Download) -> None:
        """Ask what a download of an earlier run brings, then begin it."""
        remote = await self._look_ups.remote(download.request)
        await self._look_ups.check_space(remote, self._promised_bytes(remote.repo_id))
        self._expect(download, remote)

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
