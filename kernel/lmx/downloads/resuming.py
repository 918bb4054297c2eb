"""Downloads of an earlier run: they go on once the hub answers, however long that takes."""

import asyncio
from collections.abc import Awaitable, Callable

from attrs import define, field

from lmx.downloads.download import Download
from lmx_hookspecs import LmxError, Logger
from lmx_hookspecs.errors import Busy, Unavailable

FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 60.0
"""Between two tries to reach the hub for one download."""


@define(eq=False)
class Resumer:
    """Tries one download at a time, so that others find a place at a slow hub; and again, until it is refused."""

    _attempt: Callable[[Download], Awaitable[None]]
    """Raises Unavailable or Busy where another try makes sense, and any other error where none does."""
    _refused: Callable[[Download, str], None]
    _log: Logger
    _pause: Callable[[float], Awaitable[None]]
    _turn: asyncio.Lock = field(factory=asyncio.Lock, init=False)
    _tasks: "dict[str, asyncio.Task[None]]" = field(factory=dict, init=False)
    _asked: dict[str, asyncio.Event] = field(factory=dict, init=False)
    """Set where somebody does not want to wait for the end of a pause."""

    def begin(self, download: Download) -> bool:
        """Try it, now; returns whether it was being tried already."""
        if download.id in self._tasks:
            self._asked[download.id].set()
            return True
        self._asked[download.id] = asyncio.Event()
        task = self._tasks[download.id] = asyncio.create_task(self._go_on(download, self._asked[download.id]))
        task.add_done_callback(lambda _: self._forget(download.id))
        return False

    def drop(self, download: Download) -> None:
        """Try it no more."""
        if download.id in self._tasks:
            self._tasks[download.id].cancel()

    async def close(self) -> None:
        """Try none any more."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, download_id: str) -> None:
        del self._tasks[download_id], self._asked[download_id]

    async def _go_on(self, download: Download, asked: asyncio.Event) -> None:
        pause_s = FIRST_PAUSE_S
        while not await self._tried(download):
            await self._rest(pause_s, asked)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _rest(self, pause_s: float, asked: asyncio.Event) -> None:
        waits = [asyncio.ensure_future(self._pause(pause_s)), asyncio.create_task(asked.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        asked.clear()

    async def _tried(self, download: Download) -> bool:
        """Whether no other try is needed."""
        try:
            async with self._turn:
                await self._attempt(download)
        except (Unavailable, Busy) as error:
            if download.error != error.message:
                self._log.warning("download_waits", repository=download.request.repo_id, reason=error.message)
            download.error = error.message
            return False
        except LmxError as error:
            self._refused(download, error.message)
        except Exception as error:  # nobody waits for this: whatever it is must be seen where one looks
            self._log.error("download_not_resumed", repository=download.request.repo_id, exc_info=error)
            self._refused(download, f"{type(error).__name__}: {error}")
        return True
