"""The Responses API over scripted generations, on a real socket."""

import json
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx
from httpx_sse import aconnect_sse

from http_support import FakeServices, Served, serving
from lmx_responses import lmx_surfaces
from lmx_responses.config import ResponsesConfig

URL = "/v1/responses"
BODY: dict[str, Any] = {"model": "m", "input": "hi"}


@asynccontextmanager
async def responding(services: FakeServices | None = None, **options: Any) -> AsyncIterator[Served]:
    """A server with nothing but this surface; `config` are the plugin's keys."""
    config = ResponsesConfig(**options.pop("config", {}))
    async with serving(
        surfaces=lmx_surfaces(), services=services or FakeServices(), config=config, **options
    ) as server:
        yield server


def all_bytes(home: Path) -> bytes:
    """What lies in a folder."""
    return b"".join(path.read_bytes() for path in home.iterdir())


def ids_in(home: Path) -> Sequence[str]:
    """Of everything that is kept, as the database has it."""
    with closing(sqlite3.connect(home / "responses.db")) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM responses")]


async def make(server: Served, **fields: Any) -> httpx.Response:
    body = json.dumps({**BODY, **fields})  # whatever Unicode there is in it
    return await server.ask("POST", URL, content=body)


async def events_of(server: Served, method: str = "POST", path: str = URL, **options: Any) -> list[dict[str, Any]]:
    """All events of a stream; each is named like its type."""
    async with server.client() as client, aconnect_sse(client, method, path, **options) as source:
        found = [(event.event, json.loads(event.data)) async for event in source.aiter_sse()]
    assert [name for name, _ in found] == [data["type"] for _, data in found]
    return [data for _, data in found]


def types_of(events: Sequence[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]
