"""An application on a real socket over scripted services: the HTTP side without engines."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
from attrs import define, field, frozen

from fake_parts import FakeConfig, FakeModels, FakePresets, FakeRouting
from lmx.config.schema import Models, Routing, Security
from lmx.config.server import Server
from lmx.http.access import Access
from lmx.http.app import make_app
from lmx.http.server import bind, serve, url_of
from lmx.http.streaming import OpenRequests
from lmx_hookspecs import (
    GenerationRequest,
    Health,
    LmxError,
    MiddlewareSpec,
    Piece,
    Route,
    SurfaceSpec,
    TokenCount,
    Usage,
)
from lmx_hookspecs.context import Startable
from lmx_hookspecs.errors import PluginError

Step = Piece | LmxError | Exception | asyncio.Event
"""A piece to give, an error to raise, or an event to wait for."""
PATIENCE_S = 20.0
"""How long a test waits for what should come at once."""
USAGE = Usage(prompt_tokens=5, completion_tokens=2, cached_tokens=1)


def said(*texts: str, index: int = 0) -> list[Step]:
    """Pieces of a whole answer."""
    pieces = [Piece(index=index, text=text, tokens=1) for text in texts]
    return [*pieces, Piece(index=index, finish_reason="stop", usage=USAGE)]


@define(eq=False)
class ScriptedGeneration:
    """Plays a script; `closed` is set once the surface has let go of it."""

    script: list[Step]
    model: str = "real-model"
    warnings: list[str] = field(factory=list)
    closed: asyncio.Event = field(factory=asyncio.Event)
    waiting: asyncio.Event = field(factory=asyncio.Event)
    given: int = 0
    served_by: str = "fake/real-model"
    prompt_tokens: int = 0

    def __aiter__(self) -> "ScriptedGeneration":
        return self

    async def __anext__(self) -> Piece:
        while self.script and not self.closed.is_set():
            step = self.script.pop(0)
            if isinstance(step, Piece):
                self.given += 1
                self.prompt_tokens = step.prompt_tokens or self.prompt_tokens
                return step
            if isinstance(step, Exception):
                raise step
            self.waiting.set()
            await step.wait()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.closed.set()


@define(eq=False)
class FakeServices:
    """The boundary of the kernel, scripted."""

    script: Callable[[GenerationRequest], Iterable[Step]] = field(default=lambda _: said("Hello", " world"))
    models: FakeModels = field(factory=FakeModels)
    presets: FakePresets = field(factory=FakePresets)
    routing: FakeRouting = field(factory=FakeRouting)
    config: FakeConfig = field(
        factory=lambda: FakeConfig({"server": Server(), "routing": Routing(), "models": Models()})
    )
    ready: Health = field(factory=lambda: Health(ok=True, facts={"models_loaded": 1}))
    warnings: list[str] = field(factory=list)
    asked: list[GenerationRequest] = field(factory=list)
    generations: list[ScriptedGeneration] = field(factory=list)
    admit: asyncio.Event | None = None
    refused: LmxError | None = None

    @property
    def health(self) -> Any:
        async def ready() -> Health:
            return self.ready

        return SimpleNamespace(ready=ready)

    async def generate(self, request: GenerationRequest) -> ScriptedGeneration:
        self.asked.append(request)
        if self.refused is not None:
            raise self.refused
        if self.admit is not None:
            await self.admit.wait()
        generation = ScriptedGeneration(list(self.script(request)), warnings=self.warnings)
        self.generations.append(generation)
        return generation

    async def count_tokens(self, request: GenerationRequest) -> TokenCount:
        self.asked.append(request)
        if self.refused is not None:
            raise self.refused
        return TokenCount(prompt_tokens=42, model="real-model", served_by="fake/real-model")


@define(eq=False)
class RecordingLog:
    """Keeps what is logged."""

    events: list[tuple[str, str, dict[str, Any]]] = field(factory=list)

    def _keep(self, level: str, event: str, facts: dict[str, Any]) -> None:
        self.events.append((level, event, facts))

    def debug(self, event: str, **facts: Any) -> None:
        self._keep("debug", event, facts)

    def info(self, event: str, **facts: Any) -> None:
        self._keep("info", event, facts)

    def warning(self, event: str, **facts: Any) -> None:
        self._keep("warning", event, facts)

    def error(self, event: str, **facts: Any) -> None:
        self._keep("error", event, facts)

    def named(self, event: str) -> list[dict[str, Any]]:
        return [facts for _, name, facts in self.events if name == event]


@frozen
class FakeContext:
    """What a plugin is handed."""

    services: Any
    log: RecordingLog = field(factory=RecordingLog)
    name: str = "fake"
    config: Any = None
    parts: dict[str, Any] = field(factory=dict)

    def part(self, name: str) -> Any:
        if name not in self.parts:
            raise PluginError(f"nothing has made {name!r}")
        return self.parts[name]


@define(eq=False)
class Served:
    """A running server."""

    url: str
    services: Any
    log: RecordingLog
    open_requests: OpenRequests
    shutdown: asyncio.Event
    task: "asyncio.Task[None]"

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def client(self, **options: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, timeout=PATIENCE_S, **options)

    async def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request on a connection of its own."""
        async with self.client() as client:
            return await client.request(method, path, **options)


@asynccontextmanager
async def serving(
    *routes: Route,
    surfaces: Sequence[SurfaceSpec] = (),
    middlewares: Sequence[MiddlewareSpec] = (),
    services: Any = None,
    server: Server | None = None,
    security: Security | None = None,
    access: Access | None = None,
    config: Any = None,
    stall_s: float = 20.0,
    uploads: Path | None = None,
) -> AsyncIterator[Served]:
    """These routes on a free port of 127.0.0.1; stopped at the end."""
    settings = server or Server(shutdown_grace_s=2.0)
    fake: Any = services or FakeServices()
    context = FakeContext(fake, config=config)
    context.parts.update({surface.name: surface.open(context) for surface in surfaces if surface.open is not None})
    open_requests, shutdown = OpenRequests(), asyncio.Event()
    app = make_app(
        [(SurfaceSpec(name="test", routes=routes), context), *((surface, context) for surface in surfaces)],
        [middleware.wrap(context) for middleware in sorted(middlewares, key=lambda spec: spec.order)],
        services=fake,
        server=settings,
        security=security or Security(),
        open_requests=open_requests,
        render_metrics=lambda: b"lmx_up 1.0\n",
        log=context.log,
        version="1.2.3",
        access=access,
        uploads=uploads,
    )
    listener = bind("127.0.0.1", 0)
    task = asyncio.create_task(
        serve(app, listener, server=settings, open_requests=open_requests, shutdown=shutdown, stall_s=stall_s)
    )
    try:
        yield Served(url_of(listener), fake, context.log, open_requests, shutdown, task)
    finally:
        shutdown.set()
        await asyncio.wait_for(task, PATIENCE_S)
        for part in context.parts.values():
            if isinstance(part, Startable):
                await part.close()


def error_of(response: httpx.Response) -> dict[str, Any]:
    """The error object of an answer, whose shape every error has."""
    error: dict[str, Any] = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    assert response.headers["x-request-id"]
    return error


def data_of(lines: Iterable[str]) -> list[Any]:
    """The decoded `data:` lines of a stream; `[DONE]` stays text."""
    found = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    return [text if text == "[DONE]" else json.loads(text) for text in found]


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until the condition holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  what is waited for has no event, and gets none for a test
            await asyncio.sleep(0)


HASTY = Server(headers_after_s=0.05, shutdown_grace_s=2.0)
"""A server whose streams send their headers although nothing comes."""


def quick(**server: Any) -> FakeConfig:
    """A configuration whose waits are short."""
    return FakeConfig({"server": Server(**server), "routing": Routing(), "models": Models()})
