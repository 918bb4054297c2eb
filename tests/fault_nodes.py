"""OpenAI-compatible nodes that misbehave: they never answer, or stop or break off in the middle."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal

from attrs import define, field

Manner = Literal["silent", "stalling", "resetting"]
MODEL = "far-away"
HEALTHY = json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model"}]}).encode()
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def _event(delta: dict[str, str]) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": [choice]}
    event = b"data: " + json.dumps(body).encode() + b"\n\n"
    return f"{len(event):x}\r\n".encode() + event + b"\r\n"


@define(eq=False)
class FaultyNode:
    """Says that it is well, and does not do its work."""

    manner: Manner
    url: str = ""
    calls: int = 0
    """Requests for work that it got."""
    open: "set[asyncio.Task[None]]" = field(factory=set)
    """Connections."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        task = asyncio.current_task()
        if task is not None:
            self.open.add(task)
            task.add_done_callback(self.open.discard)
        with suppress(OSError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self._answer(head, reader, writer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def _answer(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if head.startswith(b"GET "):
            fields = f"Content-Type: application/json\r\nContent-Length: {len(HEALTHY)}\r\n\r\n"
            writer.write(b"HTTP/1.1 200 OK\r\n" + fields.encode() + HEALTHY)
            return
        self.calls += 1
        if self.manner == "silent":
            await _until_given_up(reader)
        fields = "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(b"HTTP/1.1 200 OK\r\n" + fields.encode())
        for word in ("one ", "two ", "three "):
            writer.write(_event({"content": word}))
            await writer.drain()
            await asyncio.sleep(0.02)  # so that the words are on the wire, and read, before the reset
        if self.manner == "stalling":
            await _until_given_up(reader)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        writer.transport.abort()
        raise ConnectionResetError("as it was told")


async def _until_given_up(reader: asyncio.StreamReader) -> None:
    while await reader.read(1 << 16):  # the body, then nothing until whoever asks has lost patience
        pass
    raise ConnectionResetError("nobody waits any more")


@asynccontextmanager
async def faulty_node(manner: Manner) -> AsyncIterator[FaultyNode]:
    """A node on a free port of 127.0.0.1."""
    node = FaultyNode(manner)
    server = await asyncio.start_server(node.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    node.url = f"http://127.0.0.1:{port}"
    try:
        yield node
    finally:
        server.close()
        for task in [*node.open]:
            task.cancel()
        await asyncio.gather(*node.open, return_exceptions=True)
        await server.wait_closed()
