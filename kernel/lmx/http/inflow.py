"""Large bodies as they come, with a sender that waits where the reader is slower.

Quart puts whatever arrives into one buffer that grows; what it has not taken, Hypercorn leaves in the socket.
"""

import asyncio
from typing import Any

from attrs import define, field

from lmx.http.multipart import FORM

ROOM_BYTES = 2**20
"""As many bytes wait to be read; then the sender does."""


@define(eq=False)
class Inflow:
    """The bytes of a body between the connection, which puts them here, and who takes them."""

    _buffer: bytearray = field(factory=bytearray)
    _ended: bool = False
    _filled: asyncio.Event = field(factory=asyncio.Event)
    _room: asyncio.Event = field(factory=asyncio.Event)

    async def put(self, data: bytes) -> None:
        """Add what has arrived, once there is room."""
        if len(self._buffer) >= ROOM_BYTES:
            self._room.clear()
            await self._room.wait()
        self._buffer += data
        self._filled.set()

    def end(self) -> None:
        """That was all."""
        self._ended = True
        self._filled.set()

    async def take(self) -> bytes:
        """All that is there, once something is; nothing at the end."""
        while not self._buffer and not self._ended:
            self._filled.clear()
            await self._filled.wait()
        data = bytes(self._buffer)
        self._buffer.clear()
        self._room.set()
        return data


def inflow_of(scope: Any) -> Inflow | None:
    """That of this request, made when it is first asked for; None where its body is no form, or may be none."""
    state = scope["state"]
    if "inflow" not in state:
        kind = state["headers"].get("content-type", "").partition(";")[0].strip().lower()
        takes_files = kind == FORM and getattr(state["arrival"].route, "max_files", 0) > 0
        state["inflow"] = Inflow() if takes_files else None
    inflow: Inflow | None = state["inflow"]
    return inflow
