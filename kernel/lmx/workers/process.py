"""One worker process, from its start to its end, as the kernel's loop sees it."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

from attrs import define, field

from lmx.workers.frames import Decoder, Encoder, FrameError
from lmx.workers.tail import Tail
from lmx_hookspecs.context import Logger

COMMAND = ("-P", "-m")
OURS_ALONE = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
"""Variables that would lead another interpreter to our packages."""
TERMINATE_GRACE_S = 2.0
KILL_LIMIT_S = 10.0
"""A process that outlives SIGKILL for so long is stuck in a driver; waiting longer would stick us as well."""
SOCKET_BUFFER_BYTES = 1 << 18
"""A step frame must never wait for the kernel's next turn; the default of macOS is 8 KiB."""
PIPE_GRACE_S = 0.5
"""How long the pipes of a dead worker may stay open in the hands of a process that it started itself."""


@define(eq=False)
class Worker:
    """A worker: its process, its end of the frames, and what it wrote to stdout and stderr."""

    on_frame: Callable[[Any], None]
    log: Logger
    module: str = "lmx.workers.main"
    """What the process runs."""
    interpreter: Path | None = None
    """What runs it; None is our own."""
    gone: asyncio.Future[None] = field(init=False)
    """Done once the process is dead and its pipes are closed."""
    _encoder: Encoder = field(factory=Encoder, init=False)
    _tails: Mapping[int, Tail] = field(init=False)
    _process: asyncio.SubprocessTransport = field(init=False)
    _frames: asyncio.WriteTransport = field(init=False)
    _has_room: asyncio.Event = field(factory=asyncio.Event, init=False)
    _open: set[str] = field(factory=lambda: {"frames", "process"}, init=False)
    _broken: str = field(default="", init=False)

    def __attrs_post_init__(self) -> None:
        self.gone = asyncio.get_running_loop().create_future()
        self._tails = {1: Tail(partial(self._say, "stdout")), 2: Tail(partial(self._say, "stderr"))}

    async def spawn(self, environment: Mapping[str, str]) -> None:
        """Start the process, whose environment is ours and `environment`; nothing is loaded yet."""
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_BYTES)
        with theirs:
            await self._connect(ours)
            try:
                await self._execute(theirs.fileno(), {**self._inherited(), **environment})
            except BaseException:
                self._frames.abort()
                raise

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.get_pid()

    def send(self, *frame: Any) -> None:
        """Send a frame; raises FrameError for a value that cannot travel, with nothing sent."""
        self._frames.write(self._encoder.encode(frame))

    async def room(self) -> None:
        """Wait until it has taken most of what was sent, or is gone: for those who send much."""
        await self._has_room.wait()

    async def end(self, grace_s: float) -> None:
        """Ask it to stop, then insist: SIGTERM after `grace_s`, SIGKILL soon after."""
        try:
            self.send("stop")
            if not await self._gone_within(grace_s):
                self._signal(signal.SIGTERM)
                await self._gone_within(TERMINATE_GRACE_S)
        finally:
            await self.kill()

    async def kill(self) -> None:
        """SIGKILL, for it and every process that it started; returns once it is gone."""
        if not self.gone.done():
            with suppress(ProcessLookupError, PermissionError):  # the latter on macOS, for a group of zombies
                os.killpg(self.pid, signal.SIGKILL)
        if not await self._gone_within(KILL_LIMIT_S):
            self.log.error("worker_outlives_its_kill", pid=self.pid)

    def ask_where(self) -> None:
        """Have it write the stack of every thread to stderr, if it still can."""
        self._signal(signal.SIGUSR1)

    def epitaph(self) -> str:
        """How it ended."""
        code = self._process.get_returncode()
        manner = f"exited with {code}" if code is None or code >= 0 else f"was killed by {_signal_name(-code)}"
        return "; ".join(part for part in (f"the worker {manner}", self._broken) if part)

    def last_lines(self) -> list[str]:
        """What it wrote last; for operators only, since it may quote paths and the text of any client."""
        return [line for tail in self._tails.values() for line in tail.lines()]

    def frames_open(self, transport: asyncio.WriteTransport) -> None:
        """Its socket is connected."""
        self._frames = transport
        self.take_room(True)

    def take_room(self, there_is: bool) -> None:
        """Whether it keeps up with what is sent."""
        if there_is:
            self._has_room.set()
        else:
            self._has_room.clear()

    def process_open(self, transport: asyncio.SubprocessTransport) -> None:
        """It runs."""
        self._process = transport

    def take_bytes(self, decoder: Decoder, data: bytes) -> None:
        """Hand on the frames that have arrived; a worker that sends anything else is killed."""
        try:
            for frame in decoder.feed(data):
                self.on_frame(frame)
        except FrameError as error:
            self._broken = f"it broke the protocol: {error}"
            self._frames.abort()
            self._signal(signal.SIGKILL)

    def take_output(self, fd: int, data: bytes) -> None:
        """What it wrote to stdout or stderr."""
        self._tails[fd].feed(data)

    def exited(self) -> None:
        """The process is dead; what it sent before may still be on the way."""
        asyncio.get_running_loop().call_later(PIPE_GRACE_S, self._close)

    def closed(self, part: str) -> None:
        """One of the connections has delivered everything."""
        self._open.discard(part)
        if self._open or self.gone.done():
            return
        self._close()
        for tail in self._tails.values():
            tail.finish()
        self.gone.set_result(None)

    async def _connect(self, ours: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_unix_connection(lambda: _FrameProtocol(self), sock=ours)

    def _inherited(self) -> dict[str, str]:
        ours = dict(os.environ)
        return ours if self.interpreter is None else {name: ours[name] for name in ours.keys() - set(OURS_ALONE)}

    async def _execute(self, fd: int, environment: Mapping[str, str]) -> None:
        await asyncio.get_running_loop().subprocess_exec(
            lambda: _OutputProtocol(self),
            str(self.interpreter or sys.executable),
            *COMMAND,
            self.module,
            f"--fd={fd}",
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=(fd,),
            env={**environment, "PYTHONUNBUFFERED": "1"},  # what it says just before it dies matters most
            start_new_session=True,
        )

    async def _gone_within(self, limit_s: float) -> bool:
        await asyncio.wait([self.gone], timeout=limit_s)
        return self.gone.done()

    def _close(self) -> None:
        self._process.close()
        self._frames.abort()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    def _say(self, stream: str, line: str) -> None:
        self.log.info("worker_output", pid=self.pid, stream=stream, line=line)


@define(eq=False)
class _FrameProtocol(asyncio.Protocol):
    _worker: Worker
    _decoder: Decoder = field(factory=Decoder, init=False)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._worker.frames_open(cast("asyncio.WriteTransport", transport))

    def data_received(self, data: bytes) -> None:
        self._worker.take_bytes(self._decoder, data)

    def pause_writing(self) -> None:
        self._worker.take_room(False)

    def resume_writing(self) -> None:
        self._worker.take_room(True)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  how it was lost, the exit says
        self._worker.take_room(True)
        self._worker.closed("frames")


@define(eq=False)
class _OutputProtocol(asyncio.SubprocessProtocol):
    _worker: Worker

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._worker.process_open(cast("asyncio.SubprocessTransport", transport))

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._worker.take_output(fd, data)

    def process_exited(self) -> None:
        self._worker.exited()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  as above
        self._worker.closed("process")


def _signal_name(number: int) -> str:
    return next((known.name for known in signal.Signals if known == number), f"signal {number}")
