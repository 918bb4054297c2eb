"""The download itself, in a process of its own: ending it at any moment leaves what has come, and no half model."""

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Any

from attrs import define, field

from lmx_hookspecs import DownloadRequest, Progress, WorkerContext
from lmx_hub.api import open_hub
from lmx_hub.cache import CachedRepository
from lmx_hub.environment import cache_directory
from lmx_hub.plan import Plan, checked, plan
from lmx_hub.transfer import Transfer

FILES_AT_ONCE = 4
REPORT_INTERVAL_S = 0.2
LOCK_TRIES = 30
LOCK_INTERVAL_S = 0.5


class Stopped(Exception):
    """Another file of the same download has failed."""


def download(ctx: WorkerContext, request: DownloadRequest, progress: Progress) -> Mapping[str, Any]:
    """Fetch what the request asks for into the cache; returns the `path` of the snapshot."""
    target = checked(ctx.config, request)
    repository = CachedRepository(cache_directory(os.environ), target.repo_id)
    with open_hub(os.environ) as hub, repository.locked(_lock_wait()):
        found = plan(hub, target, request)
        if found.left_out:
            reason = "files that may hold code are never downloaded"
            ctx.log.warning("files_left_out", repository=target.repo_id, files=found.left_out, reason=reason)
        tally = Tally(found, repository, progress)
        transfer = Transfer(hub, found.revision, repository, tally.add, tally.pause)
        _fetch_all(transfer, tally)
        path = repository.publish(found.revision.commit, found.reference, found.files)
    ctx.log.info("model_downloaded", repository=target.repo_id, commit=found.revision.commit, path=str(path))
    return {"path": str(path)}


@define(eq=False)
class Tally:
    """Counts bytes and files as they come in from several threads, and reports them from one."""

    plan: Plan
    repository: CachedRepository
    progress: Progress
    stop: threading.Event = field(factory=threading.Event)
    _bytes: int = field(init=False)
    _lock: threading.Lock = field(factory=threading.Lock)

    def __attrs_post_init__(self) -> None:
        self._bytes = sum(map(self.repository.present_bytes, self.plan.blobs))

    def add(self, count: int) -> None:
        """Bytes that came; raises Stopped once the others shall end too."""
        with self._lock:
            self._bytes += count
        if self.stop.is_set():
            raise Stopped

    def pause(self, seconds: float) -> None:
        """Wait; raises Stopped as `add` does."""
        if self.stop.wait(seconds):
            raise Stopped

    def report(self) -> None:
        """Tell how far it is."""
        blobs = self.plan.blobs
        total = sum(file.size_bytes for file in blobs)
        done = sum(map(self.repository.has, blobs))
        self.progress(
            min(self._bytes / total, 1.0) if total else 1.0,
            f"{done} of {len(blobs)} files",
            downloaded_bytes=self._bytes,
            total_bytes=total,
            files_completed=done,
            files_total=len(blobs),
        )


def _fetch_all(transfer: Transfer, tally: Tally) -> None:
    """Fetch every file, several at a time; the first failure ends all."""
    largest_first = sorted(tally.plan.blobs, key=lambda file: -file.size_bytes)
    pool = ThreadPoolExecutor(FILES_AT_ONCE, thread_name_prefix="download")
    fetches = [pool.submit(transfer.fetch, file) for file in largest_first]
    try:
        _watch(fetches, tally)
    finally:
        tally.stop.set()
        # A cancel ends the process, and need not wait until a hub that says nothing has timed out.
        cancelled = isinstance(sys.exception(), KeyboardInterrupt)
        pool.shutdown(wait=not cancelled, cancel_futures=True)


def _watch(fetches: "list[Future[None]]", tally: Tally) -> None:
    waiting = set(fetches)
    while waiting:
        tally.report()
        ended, waiting = wait(waiting, REPORT_INTERVAL_S, FIRST_EXCEPTION)
        for fetch in ended:
            fetch.result()
    tally.report()


def _lock_wait() -> Callable[[], bool]:
    tries = iter(range(LOCK_TRIES))

    def wait_a_little() -> bool:
        time.sleep(LOCK_INTERVAL_S)
        return next(tries, None) is not None

    return wait_a_little
