"""A node on a real socket that answers what a test has written down, or does not."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from attrs import define, field, frozen

from lmx_hookspecs import GenerationRequest, Message, Piece
from lmx_hookspecs.testing import FakeContext
from lmx_remote.config import BackendNode, HelperNodes, RemoteConfig
from lmx_remote.engine import RemoteEngine
from lmx_remote.nodes import Nodes, nodes_of

QUICK = RemoteConfig(health_timeout_s=0.5)


@frozen
class Reply:
    """An answer that comes at once."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(factory=dict)


@frozen
class Stream:
    """Events as they are; `ending` is what comes behind them."""

    events: Sequence[Any]
    ending: str = "done"
    """`done`, `cut` (no `[DONE]`), `closed` (just `[DONE]`), `reset`, `hang`, or `lingers` (hangs after `[DONE]`)."""


SAYS_DONE = frozenset({"done", "closed", "lingers"})
SILENCE = object()
"""No answer, ever."""
Script = Callable[[str, Any], Any]
"""From path and body to one of the above."""


@define(eq=False)
class FakeNode:
    """What it was asked, and by whom it was left."""

    script: Script
    url: str = ""
    asked: list[tuple[str, Any, Mapping[str, str]]] = field(factory=list)
    left: asyncio.Event = field(factory=asyncio.Event)
    """Set when a client goes away before its answer is complete."""
    connections: int = 0

    def bodies(self, path: str) -> list[Any]:
        """What was sent there."""
        return [body for asked_path, body, _ in self.asked if asked_path == path]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        try:
            while head := await _head(reader):
                path, headers = head
                raw = await reader.readexactly(int(headers.get("content-length", 0)))
                body = json.loads(raw) if raw else None
                self.asked.append((path, body, headers))
                if not await self._answer(self.script(path, body), reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            self.left.set()
        finally:
            writer.close()

    async def _answer(self, answer: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection stays open."""
        if answer is SILENCE:
            await self._until_left(reader)
            return False
        if isinstance(answer, Reply):
            raw = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            fields = {"content-type": "application/json", "content-length": str(len(raw)), **answer.headers}
            lines = [f"HTTP/1.1 {answer.status} X", *(f"{name}: {value}" for name, value in fields.items())]
            writer.write("\r\n".join([*lines, "", ""]).encode() + raw)
            await writer.drain()
            return True
        return await self._stream(answer, reader, writer)

    async def _stream(self, answer: Stream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        writer.write(head.encode())
        for event in [*answer.events, *(["[DONE]"] if answer.ending in SAYS_DONE else [])]:
            text = event if isinstance(event, str) else json.dumps(event)
            writer.write(_chunk(f"data: {text}\n\n".encode()))
        await writer.drain()
        if answer.ending == "reset":
            writer.transport.abort()
            return False
        if answer.ending in {"hang", "lingers"}:
            await self._until_left(reader)
            return False
        if answer.ending == "closed":
            return False
        writer.write(_chunk(b""))
        await writer.drain()
        return True

    async def _until_left(self, reader: asyncio.StreamReader) -> None:
        await reader.read()
        self.left.set()


async def _head(reader: asyncio.StreamReader) -> tuple[str, Mapping[str, str]] | None:
    text = (await reader.readuntil(b"\r\n\r\n")).decode() if not reader.at_eof() else ""
    if not text:
        return None
    first, *lines = text.strip().split("\r\n")
    return first.split(" ")[1], {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


@asynccontextmanager
async def fake_node(script: Script) -> AsyncIterator[FakeNode]:
    """It listens on a free port of 127.0.0.1; whoever is still connected at the end is cut off."""
    node = FakeNode(script)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await node.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    node.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield node
    finally:
        server.close()
        running = list(tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def always(answer: Any) -> Script:
    """The same to everything."""
    return lambda _path, _body: answer


def context(
    backends: Mapping[str, BackendNode] | None = None,
    helpers: HelperNodes | None = None,
    config: RemoteConfig = QUICK,
) -> FakeContext:
    """With these sections of the configuration."""

    class Config:
        def section(self, name: str) -> Any:
            return {"backends": backends or {}, "helper_nodes": helpers or HelperNodes()}[name]

    made = FakeContext(config=config, name="remote")
    made.services.config = Config()
    return made


@asynccontextmanager
async def nodes_at(*urls: str, **options: Any) -> AsyncIterator[Nodes]:
    """Backends `n0`, `n1`… with the model `m`, unless the options say otherwise; closed at the end."""
    settings = {"models": ["m"], "roles": ["chat", "completion", "embedding", "rerank"], **options}
    nodes = nodes_of(context({f"n{place}": BackendNode(url=url, **settings) for place, url in enumerate(urls)}), {})
    try:
        yield nodes
    finally:
        await nodes.close()


@asynccontextmanager
async def engine_at(*urls: str, **options: Any) -> AsyncIterator[RemoteEngine]:
    """The engine of model `m`."""
    async with nodes_at(*urls, **options) as nodes:
        yield RemoteEngine("m", nodes)


def chat(**fields: Any) -> GenerationRequest:
    """A chat with one message."""
    return GenerationRequest(model="m", messages=[Message(role="user", content="hello")], **fields)


async def collected(engine: RemoteEngine, request: GenerationRequest) -> list[Piece]:
    """All pieces in which there is anything."""
    return [piece async for piece in engine.generate(request) if piece != Piece()]


def text(content: str, index: int = 0) -> dict[str, Any]:
    """A chunk with text."""
    return {"choices": [{"index": index, "delta": {"content": content}}]}


def finish(reason: str = "stop", index: int = 0) -> dict[str, Any]:
    """The last chunk of a choice."""
    return {"choices": [{"index": index, "delta": {}, "finish_reason": reason}]}


def usage(prompt: int = 3, completion: int = 2) -> dict[str, Any]:
    """The chunk with the counts."""
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return {"choices": [], "usage": counts}


HELLO = Stream([text("Hello"), text(" world"), finish(), usage()])
