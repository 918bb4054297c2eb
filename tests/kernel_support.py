"""Stand-ins at the kernel's own seams, for tests of what lies between them."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

from attrs import define, field

from lmx.events import EventBus
from lmx.models.catalogue import Backend, Catalogue
from lmx.models.lifecycle import Lifecycle
from lmx.workers import EngineState
from lmx_hookspecs import (
    BackendSpec,
    Capability,
    EngineDescription,
    GenerationRequest,
    Message,
    ModelInfo,
    Piece,
    Usage,
)

ALL = frozenset(Capability)
DESCRIPTION = EngineDescription(context_length=100, capabilities=ALL, memory_bytes=1_000_000_000, max_rows=4)
END = Piece(text="!", tokens=1, finish_reason="stop", usage=Usage(prompt_tokens=2, completion_tokens=2))


@define(eq=False)
class Log:
    """Keeps what was logged."""

    lines: list[tuple[str, dict[str, Any]]] = field(factory=list)

    def info(self, event: str, **facts: Any) -> None:
        self.lines.append((event, facts))

    debug = warning = error = info

    def named(self, event: str) -> list[dict[str, Any]]:
        return [facts for name, facts in self.lines if name == event]


@define(eq=False)
class ScriptedEngine:
    """An EngineHandle whose load and pieces are given; an exception in `script` is raised in its place."""

    script: Sequence[Piece | Exception] = (Piece(text="hi", tokens=1), END)
    load_error: Exception | None = None
    may_load: asyncio.Event | None = None
    may_speak: asyncio.Event | None = None
    state: EngineState = EngineState.STOPPED
    requests: list[GenerationRequest] = field(factory=list)
    cancelled: int = 0
    starts: int = 0
    stops: int = 0

    async def start(self) -> EngineDescription:
        self.starts += 1
        if self.may_load is not None:
            await self.may_load.wait()
        if self.load_error is not None:
            raise self.load_error
        self.state = EngineState.READY
        return DESCRIPTION

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Piece, None]:
        self.requests.append(request)
        finished = False
        try:
            for step in self.script:
                if self.may_speak is not None:
                    await self.may_speak.wait()
                if isinstance(step, Exception):
                    raise step
                yield step
            finished = True
        finally:
            self.cancelled += not finished

    async def stats(self) -> EngineDescription:
        return DESCRIPTION

    def describe(self) -> Mapping[str, Any]:
        return {}

    async def stop(self, grace_s: float | None = None) -> None:  # noqa: ARG002  the protocol's signature
        self.stops += 1
        self.state = EngineState.STOPPED


@define
class Listed:
    """A model source with a fixed list."""

    infos: Sequence[ModelInfo]

    def models(self) -> Sequence[ModelInfo]:
        return self.infos

    def find(self, model_id: str) -> ModelInfo | None:
        return next((info for info in self.infos if info.id == model_id), None)


def info(model_id: str, **facts: Any) -> ModelInfo:
    return ModelInfo(id=model_id, **{"format": "made-up", **facts})


def backend(name: str = "scripted", **facts: Any) -> Backend:
    spec = BackendSpec(
        name=name,
        level="text",
        load=lambda _ctx, _model: None,
        **{"formats": frozenset({"made-up"}), "capabilities": ALL, **facts},
    )
    return Backend(name, spec)


def lifecycle(
    engine: ScriptedEngine | Callable[[ModelInfo], ScriptedEngine],
    *models: ModelInfo,
    backends: Sequence[Backend] | None = None,
    **options: Any,
) -> Lifecycle:
    """A life-cycle over these models (default: one called `m`) whose engines are scripted."""
    make = engine if callable(engine) else lambda _info: engine
    catalogue = Catalogue({"list": Listed(models or (info("m"),))}, [backend()] if backends is None else backends)
    return Lifecycle(
        catalogue, lambda _backend, model, _changed: make(model), EventBus(), Log(), **{"warmup": False, **options}
    )


def chat(model: str = "m", **fields: Any) -> GenerationRequest:
    return GenerationRequest(model=model, messages=[Message(role="user", content="hello")], **fields)
