"""Where uploaded files lie while their request is answered, and how they get there."""

import asyncio
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from attrs import define, field

from lmx.http.inflow import Inflow
from lmx.http.multipart import FormReader, Limits, boundary_of
from lmx.private_files import FileLock
from lmx_hookspecs.errors import InsufficientStorage, InvalidRequest

IDLE_S = 60.0
"""How long nothing of an upload may come."""
SLOWEST_BYTES_PER_S = 1000
"""What has to come on average, beyond the first `IDLE_S`; else a byte now and then would hold a connection for ever."""


@define(eq=False)
class UploadFolder:
    """A private folder of this process, with one in it for each request that brings files.

    What a process left that could not end as it should, the next one with the same `root` removes. Without a `root` it
    lies with the system's temporary files.
    """

    root: Path | None = None
    _own: Path | None = None
    _lock: FileLock | None = None

    def sweep(self) -> None:
        """Remove what dead processes left."""
        if self.root is None or not self.root.is_dir():
            return
        for folder in [entry for entry in self.root.iterdir() if entry.is_dir() and entry != self._own]:
            lock = FileLock(_lock_of(folder))
            if lock.take():  # the lock of a living process is held
                shutil.rmtree(folder, ignore_errors=True)
                lock.path.unlink(missing_ok=True)
                lock.release()

    def new(self) -> Path:
        """A fresh folder that only we can read; raises InsufficientStorage."""
        try:
            if self._own is None or not self._own.is_dir():
                self._own = self._begin()
            return Path(tempfile.mkdtemp(dir=self._own))
        except OSError as error:
            where = self.root or tempfile.gettempdir()
            raise InsufficientStorage(
                f"nothing can be uploaded, since {where} cannot be written ({error.strerror or error}); "
                "mend that, then send it again"
            ) from error

    def close(self) -> None:
        """Remove everything."""
        if self._own is not None:
            shutil.rmtree(self._own, ignore_errors=True)
            self._own = None
        if self._lock is not None:
            self._lock.path.unlink(missing_ok=True)
            self._lock.release()
            self._lock = None

    def _begin(self) -> Path:
        if self.root is None:
            return Path(tempfile.mkdtemp(prefix="lmx-uploads-"))
        own = self.root / secrets.token_hex(8)
        lock = FileLock(_lock_of(own))
        try:
            lock.take()  # before the folder is there, so that nobody takes it for one that was left
            own.mkdir(mode=0o700)
        except OSError:  # a full disk, say: each upload that is tried meanwhile would leave a lock
            lock.path.unlink(missing_ok=True)
            lock.release()
            raise
        if self._lock is not None:
            self._lock.release()
        self._lock = lock
        return own


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


@define(eq=False)
class Uploads:
    """Takes forms in: decodes and writes them in threads, one bite after the other."""

    folder: UploadFolder
    file_bytes: int
    text_bytes: int

    async def receive(self, inflow: Inflow, content_type: str, max_files: int, stack: AsyncExitStack) -> FormReader:
        """The whole form; its files are there until `stack` is closed."""
        boundary = boundary_of(content_type)
        limits = Limits(files=max_files, file_bytes=self.file_bytes, text_bytes=self.text_bytes)
        upload = Upload(FormReader(boundary, self.folder.new(), limits))
        stack.push_async_callback(upload.close)
        sender = Sender(inflow)
        while data := await sender.next():
            await upload.run(partial(upload.reader.feed, data))
        await upload.run(upload.reader.end)
        return upload.reader


@define(eq=False)
class Sender:
    """Who an upload comes from, and how long they were waited for; what we take to write it does not count."""

    inflow: Inflow
    _received: int = 0
    _waited_s: float = 0.0

    async def next(self) -> bytes:
        """What has come; nothing at the end. Raises InvalidRequest where that takes too long."""
        began = time.monotonic()
        left_s = IDLE_S + self._received / SLOWEST_BYTES_PER_S - self._waited_s
        try:
            async with asyncio.timeout(min(IDLE_S, left_s)):
                data = await self.inflow.take()
        except TimeoutError as error:
            raise InvalidRequest(self._too_slow(left_s)) from error
        self._received += len(data)
        self._waited_s += time.monotonic() - began
        return data

    def _too_slow(self, left_s: float) -> str:
        if left_s >= IDLE_S:
            return f"nothing of the upload came for {IDLE_S:.0f} s; send it again"
        return (
            f"only {self._received} bytes of the upload came, less than {SLOWEST_BYTES_PER_S} a second; send it again "
            "over a faster line"
        )


@define(eq=False)
class Upload:
    """A form that is being read, and what is left of it on disk."""

    reader: FormReader
    _turn: threading.Lock = field(factory=threading.Lock)
    _closed: bool = False

    async def run(self, work: Callable[[], None]) -> None:
        """Run it in a thread; where nobody waits for it any more, it ends before `close` begins."""

        def guarded() -> None:
            with self._turn:
                if not self._closed:
                    work()

        await asyncio.to_thread(guarded)

    async def close(self) -> None:
        """Remove the files; goes on where the caller is cancelled."""
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, self._remove))

    def _remove(self) -> None:
        with self._turn:
            self._closed = True
            self.reader.close()
            shutil.rmtree(self.reader.folder, ignore_errors=True)
