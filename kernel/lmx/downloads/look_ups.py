"""Asks hubs in threads of its own: a hub that hangs must not hold up what else waits for a thread."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Thread

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
    """What a download would bring, and whether there is room for it.

    A thread cannot be ended from outside: it keeps its place when who asked has given up.
    """

    downloader: Downloader | None
    limit_s: float = LIMIT_S
    free_bytes: Callable[[Path], int] = free_bytes
    _places: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(AT_ONCE), init=False)
    _waiting: int = field(default=0, init=False)
    _closed: bool = field(default=False, init=False)

    async def remote(self, request: DownloadRequest) -> RemoteModel:
        """Sizes and checksums; raises Busy while too many wait, and Unavailable for a hub that does not answer."""
        if self.downloader is None:
            raise Unavailable(
                "no active plugin downloads models; `lmx plugins list` shows what is active, and why others are not",
                code="no_downloader",
            )
        if self._waiting >= MOST_WAITING:
            raise Busy(
                f"{self._waiting} look-ups wait for the hub already; try again later", retry_after_s=RETRY_AFTER_S
            )
        try:
            async with asyncio.timeout(self.limit_s):
                await self._place()
                return await self._in_thread(partial(self.downloader.look_up, request))
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
        """Ask no more; a thread that a hub holds does not keep the process from ending."""
        self._closed = True

    async def _place(self) -> None:
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        if self._closed:
            self._places.release()
            raise Unavailable("the server is shutting down; ask again once it is back", code="overloaded")

    def _in_thread(self, look_up: Callable[[], RemoteModel]) -> "asyncio.Future[RemoteModel]":
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[RemoteModel] = loop.create_future()

        def settle(hand_over: Callable[[], None]) -> None:
            self._places.release()
            if not answer.done():  # else who asked has given up
                hand_over()

        def run() -> None:
            try:
                hand_over = partial(answer.set_result, look_up())
            except Exception as error:  # whatever it is, it belongs to who asked, in another thread
                hand_over = partial(answer.set_exception, error)
            with suppress(RuntimeError):  # the loop was closed meanwhile: the server has ended
                loop.call_soon_threadsafe(settle, hand_over)

        # A daemon, unlike the threads of an executor, which are waited for when the process ends.
        Thread(target=run, name="look-up", daemon=True).start()
        return answer
