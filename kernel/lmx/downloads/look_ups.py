"""Asks hubs in threads of its own: a hub that hangs must not hold up what else waits for a thread."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from attrs import define, field

from lmx.downloads.space import free_bytes, require_space
from lmx_hookspecs import Downloader, DownloadRequest, RemoteModel
from lmx_hookspecs.errors import Busy, Unavailable

AT_ONCE = 2
MOST_WAITING = 16
LIMIT_S = 60.0
RETRY_AFTER_S = 30.0


@define(eq=False)
class LookUps:
    """What a download would bring, and whether there is room for it."""

    downloader: Downloader | None
    limit_s: float = LIMIT_S
    free_bytes: Callable[[Path], int] = free_bytes
    _threads: ThreadPoolExecutor = field(factory=lambda: ThreadPoolExecutor(AT_ONCE, "look-up"), init=False)
    _closed: bool = field(default=False, init=False)
    _asked: "set[Future[RemoteModel]]" = field(factory=set, init=False)

    async def remote(self, request: DownloadRequest) -> RemoteModel:
        """Sizes and checksums; raises Busy while too many wait, and Unavailable for a hub that does not answer."""
        if self.downloader is None:
            raise Unavailable(
                "no active plugin downloads models; `lmx plugins list` shows what is active, and why others are not",
                code="no_downloader",
            )
        if self._closed:
            raise Unavailable("the server is shutting down; ask again once it is back", code="overloaded")
        # One whose caller has gone away counts for as long as its thread is held by the hub.
        self._asked = {asked for asked in self._asked if not asked.done()}
        if len(self._asked) >= AT_ONCE + MOST_WAITING:
            raise Busy(
                f"{len(self._asked)} look-ups wait for the hub already; try again later", retry_after_s=RETRY_AFTER_S
            )
        asked = self._threads.submit(self.downloader.look_up, request)
        self._asked.add(asked)
        try:
            async with asyncio.timeout(self.limit_s):
                return await asyncio.wrap_future(asked)
        except TimeoutError:
            raise Unavailable(
                f"the hub has not answered within {self.limit_s:g} s; check the network and HF_ENDPOINT",
                code="hub_unreachable",
                retry_after_s=RETRY_AFTER_S,
            ) from None

    async def check_space(self, remote: RemoteModel, promised_bytes: int) -> None:
        """Raises InsufficientStorage, with the arithmetic; `promised_bytes` is what other downloads still need."""
        free = await asyncio.to_thread(self.free_bytes, remote.destination)
        require_space(remote, free=free, promised=promised_bytes)

    def close(self) -> None:
        """Ask no more; a thread that a hub holds ends when the hub lets go."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
