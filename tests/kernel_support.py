"""Stand-ins at the kernel's own seams, for tests of what lies between them."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen

from lmx.config.schema import Memory, Models
from lmx.events import EventBus
from lmx.models.catalogue import Backend, Catalogue
from lmx.models.lifecycle import Lifecycle
from lmx.models.machine import Machine
from lmx.workers import EngineState, OnChange
from lmx.workers.handle import ignore_change
from lmx.workers.progress import Progress
from lmx_hookspecs import (
    BackendSpec,
    Capability,
    EmbeddingRequest,
    Embeddings,
    EngineDescription,
    GenerationRequest,
    LmxError,
    Message,
    ModelInfo,
    Piece,
    Reranking,
    RerankRequest,
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
    description: EngineDescription = DESCRIPTION
    stats_error: Exception | None = None
    answer: Embeddings | Reranking | Exception | None = None
    """To what is asked all at once."""
    calls: list[EmbeddingRequest | RerankRequest] = field(factory=list)
    on_change: OnChange = ignore_change
    progress: Progress = field(factory=Progress)
    """That of the latest request."""

    async def start(self) -> EngineDescription:
        self.starts += 1
        if self.may_load is not None:
            await self.may_load.wait()
        if self.load_error is not None:
            raise self.load_error
        self.state = EngineState.READY
        return self.description

    def generate(self, request: GenerationRequest, progress: Progress | None = None) -> AsyncGenerator[Piece, None]:
        self.requests.append(request)
        self.progress = progress or Progress()
        self.progress.sent = True
        return self._pieces(self.progress)

    async def _pieces(self, progress: Progress) -> AsyncGenerator[Piece, None]:
        finished = False
        try:
            for step in self.script:
                if self.may_speak is not None:
                    await self.may_speak.wait()
                if isinstance(step, Exception):
                    raise step
                progress.saw(step)
                yield step
            finished = True
        finally:
            self.cancelled += not finished

    async def embed(self, request: EmbeddingRequest) -> Any:
        return await self._called(request)

    async def count_tokens(self, request: GenerationRequest) -> int:
        self.requests.append(request)
        if self.may_speak is not None:
            await self.may_speak.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return len(request.messages or request.prompts)

    async def rerank(self, request: RerankRequest) -> Any:
        return await self._called(request)

    async def _called(self, request: EmbeddingRequest | RerankRequest) -> Any:
        self.calls.append(request)
        if self.may_speak is not None:
            await self.may_speak.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def stats(self) -> EngineDescription:
        if self.stats_error is not None:
            raise self.stats_error
        return self.description

    def change(self, state: EngineState, reason: str = "") -> None:
        """What a supervisor would report."""
        self.state = state
        self.on_change(state, reason)

    def over(self, error: LmxError | None) -> None:
        """What its piece stream would report."""
        self.progress.over(error)

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


GB = 1_000_000_000


@frozen
class MachineMemory:
    """What psutil would say."""

    total: int = 64 * GB
    available: int = 64 * GB


ROOMY = Machine(virtual_memory=MachineMemory, groups=(), gpu_limit_bytes=0)


def lifecycle(
    engine: ScriptedEngine | Callable[[ModelInfo], ScriptedEngine],
    *models: ModelInfo,
    backends: Sequence[Backend] | None = None,
    config: Mapping[str, Any] | None = None,
    memory: Mapping[str, Any] | None = None,
    **options: Any,
) -> Lifecycle:
    """A life-cycle over these models (default: one called `m`) whose engines are scripted.

    `config` and `memory` are keys of the sections `models` and `memory`; `jit_load` and `warmup` may be given alone.
    """

    def make(_backend: Backend, model: ModelInfo, changed: OnChange) -> ScriptedEngine:
        made = engine(model) if callable(engine) else engine
        made.on_change = changed
        return made

    named = {"warmup_on_load": options.pop("warmup", False), "jit_load": options.pop("jit_load", True)}
    models_section, memory_section = Models(**named, **(config or {})), Memory(**(memory or {}))
    catalogue = Catalogue({"list": Listed(models or (info("m"),))}, [backend()] if backends is None else backends)
    return Lifecycle(
        catalogue,
        make,
        options.pop("events", None) or EventBus(),
        Log(),
        config=lambda: models_section,
        memory_config=lambda: memory_section,
        **{"machine": ROOMY, **options},
    )


def sized(model_id: str, size_gb: float, **settings: Any) -> ModelInfo:
    """A model that counts with so much memory, whatever its engine measures."""
    return info(model_id, settings={"memory_estimate_gb": size_gb, **settings})


@define(eq=False)
class Engines:
    """Makes a scripted engine for each load, and keeps it."""

    facts: Mapping[str, Any] = field(factory=dict)
    by_model: dict[str, list[ScriptedEngine]] = field(factory=dict)

    def __call__(self, model: ModelInfo) -> ScriptedEngine:
        made = ScriptedEngine(**self.facts)
        self.by_model.setdefault(model.id, []).append(made)
        return made

    def of(self, model_id: str) -> ScriptedEngine:
        """The latest of that model."""
        return self.by_model[model_id][-1]


@define(eq=False)
class Clock:
    """Seconds that pass when a test says so."""

    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


async def turns(count: int = 20) -> None:
    """Let everything that can go on go on."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    """Let everything go on until something has happened, and not a turn longer."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  the moment may last for one turn only
            await asyncio.sleep(0)


def chat(model: str = "m", **fields: Any) -> GenerationRequest:
    return GenerationRequest(model=model, messages=[Message(role="user", content="hello")], **fields)
