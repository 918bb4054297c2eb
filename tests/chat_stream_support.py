"""A client of /v1/chat/stream, an unmodified one over a real socket; the services behind it are scripted."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

import lmx_openai
from http_support import PATIENCE_S, FakeServices, Served, Step, said, serving
from lmx_hookspecs import GenerationRequest

HELLO = {"type": "chat.request", "model": "real-model", "messages": [{"role": "user", "content": "hi"}]}
SURFACES = list(lmx_openai.lmx_surfaces())


@asynccontextmanager
async def connected(services: FakeServices, **headers: str) -> AsyncIterator[tuple[Served, ClientConnection]]:
    async with (
        serving(surfaces=SURFACES, services=services) as server,
        connect(f"ws://127.0.0.1:{server.port}/v1/chat/stream", proxy=None, additional_headers=headers) as client,
    ):
        yield server, client


async def ask(client: ClientConnection, **fields: Any) -> None:
    await client.send(json.dumps({**HELLO, **fields}))


async def heard(client: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_S):
        frame: dict[str, Any] = json.loads(await client.recv())
    return frame


async def heard_until(client: ClientConnection, *kinds: str) -> list[dict[str, Any]]:
    frames = [await heard(client)]
    while frames[-1]["type"] not in kinds:
        frames.append(await heard(client))
    return frames


def waiting(event: asyncio.Event, *before: Step) -> Callable[[GenerationRequest], Iterable[Step]]:
    return lambda _: [*before, event, *said("late")]
