"""Connections that a stuck client cannot hold: every write has a time limit, and all of them can be cut."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from attrs import define, field

Handler = Callable[[asyncio.StreamReader, Any], Awaitable[None]]


@define(eq=False)
class PatientWriter:
    """What Hypercorn uses of a StreamWriter, with a limit on how long a client may take nothing in."""

    _writer: asyncio.StreamWriter
    _stall_s: float

    def get_extra_info(self, name: str) -> Any:
        """As asyncio.StreamWriter."""
        return self._writer.get_extra_info(name)

    def write(self, data: bytes) -> None:
        """As asyncio.StreamWriter."""
        self._writer.write(data)

    def write_eof(self) -> None:
        """As asyncio.StreamWriter."""
        self._writer.write_eof()

    def close(self) -> None:
        """As asyncio.StreamWriter."""
        self._writer.close()

    async def drain(self) -> None:
        """Wait until the client takes data in; raises ConnectionError once it has not for too long."""
        if self._writer.transport.get_write_buffer_size() == 0:
            await self._writer.drain()
            return
        try:
            async with asyncio.timeout(self._stall_s):
                await self._writer.drain()
        except TimeoutError:
            self.abort()
            raise ConnectionAbortedError("the client takes no data in") from None

    async def wait_closed(self) -> None:
        """Wait until the last byte is out, or cut the connection where that takes too long."""
        try:
            async with asyncio.timeout(self._stall_s):
                await self._writer.wait_closed()
        except TimeoutError:
            self.abort()

    def abort(self) -> None:
        """Close at once and forget what is unsent."""
        self._writer.transport.abort()


@define(eq=False)
class Connections:
    """All open connections."""

    handle: Handler
    stall_s: float
    _open: "dict[asyncio.Task[None], PatientWriter]" = field(factory=dict)

    def __len__(self) -> int:
        return len(self._open)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it is closed."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("asyncio serves each connection in a task")
        patient = self._open[task] = PatientWriter(writer, self.stall_s)
        try:
            await self.handle(reader, patient)
        finally:
            del self._open[task]

    async def wait(self, timeout_s: float) -> bool:
        """Whether all of them ended within that time."""
        if self._open:
            await asyncio.wait(list(self._open), timeout=max(0.0, timeout_s))
        return not self._open

    def abort(self) -> None:
        """Cut all of them."""
        for writer in self._open.values():
            writer.abort()

    def cancel(self) -> None:
        """Give up on whatever still holds them."""
        for task in self._open:
            task.cancel()
