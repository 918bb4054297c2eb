"""Streams whose pieces a test decides."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from attrs import define, field

from lmx_hookspecs import Request, Response, Route, StreamResponse


@define(eq=False)
class Chunks:
    """Gives what it has, then waits for ever; `closed` is set when the server lets go of it."""

    left: list[bytes | Exception]
    closed: asyncio.Event = field(factory=asyncio.Event)
    waiting: asyncio.Event = field(factory=asyncio.Event)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self.left:
            self.waiting.set()
            await asyncio.Event().wait()
        chunk = self.left.pop(0)
        if isinstance(chunk, Exception):
            raise chunk
        return chunk

    async def aclose(self) -> None:
        self.closed.set()


def event(body: Any) -> bytes:
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def streaming(chunks: Chunks, failure: Callable[[Any], bytes] | None = event, **fields: Any) -> Route:
    async def handler(_: Any, __: Request) -> Response:
        return StreamResponse(chunks=chunks, failure=failure, **fields)

    return Route(method="GET", path="/stream", handler=handler, summary="x", streams=True)
