"""A client that goes away between two steps of its request to a server with vector stores."""

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

from attrs import define, field

from http_support import PATIENCE_S, until
from lmx_vectorstores.ledger import Ledger
from vector_store_support import Keeping

AT_ONCE = struct.pack("ii", 1, 0)
"""Of SO_LINGER: the connection is reset, not closed."""


@define(eq=False)
class HeldLedger:
    """A ledger that keeps the answer to one question to itself, after the transaction is over."""

    ledger: Ledger
    held: Callable[..., Any]
    answered: asyncio.Event = field(factory=asyncio.Event)
    go: asyncio.Event = field(factory=asyncio.Event)

    @property
    def exists(self) -> bool:
        return self.ledger.exists

    async def ask(self, question: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        answer = await self.ledger.ask(question, *args, **kwargs)
        if question is self.held:
            self.answered.set()
            await self.go.wait()
        return answer


async def leaves_after(
    kept: Keeping,
    question: Callable[..., Any],
    method: str,
    path: str,
    body: Any = None,
    *,
    meanwhile: Callable[[], Awaitable[Any]] | None = None,
) -> None:
    """Ask, and reset the connection once the question is answered.

    Nothing goes on before the server has seen that, and `meanwhile` has happened.
    """
    held = HeldLedger(kept.desk.ledger, question)
    kept.desk.ledger = held
    try:
        with closing(asking(kept.server.port, method, path, body)) as connection:
            async with asyncio.timeout(PATIENCE_S):
                await held.answered.wait()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        await until(lambda: any(seen["status"] is None for seen in kept.server.log.named("http_request")))
        if meanwhile is not None:
            await meanwhile()
    finally:
        held.go.set()
        kept.desk.ledger = held.ledger


def asking(port: int, method: str, path: str, body: Any) -> socket.socket:
    """A request on a connection of its own."""
    payload = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(payload)}\r\n\r\n"
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(head.encode() + payload)
    return connection
