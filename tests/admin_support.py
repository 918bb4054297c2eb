"""The services that the admin API stands on, each with a little in it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen

from admin_models_support import StandInDownloads, StandInJobs, StandInModels
from http_support import ScriptedGeneration, Step, said
from lmx.config.schema import Memory, Models
from lmx.config.server import Server
from lmx.events import EventBus
from lmx.metrics import PrometheusMetrics
from lmx_hookspecs import GenerationRequest, Health, LmxError, Preset, ReloadReport, Stack
from lmx_hookspecs.errors import ModelNotFound, NotFound


@define(eq=False)
class StandInPresets:
    """One preset."""

    presets: list[Preset] = field(
        factory=lambda: [
            Preset(name="code", model="org/big", parameters={"temperature": 0.1}, performance={"kv_bits": 8})
        ]
    )

    def list(self) -> Sequence[Preset]:
        return self.presets

    def get(self, name: str) -> Preset:
        for preset in self.presets:
            if preset.name == name:
                return preset
        raise ModelNotFound(f"there is no preset 'preset:{name}'", param="model")

    async def reload(self) -> Sequence[Preset]:
        self.presets.append(Preset(name="more", model="small"))
        return self.presets

    def skipped(self) -> Mapping[str, str]:
        return {"bad.yaml": "it has no name"}


@define(eq=False)
class StandInStacks:
    """One stack, which can be activated."""

    now: str | None = None

    def list(self) -> Sequence[Stack]:
        return [Stack(name="day", description="for work", roles={"chat": "small"})]

    def active(self) -> str | None:
        return self.now

    async def activate(self, name: str) -> Stack:
        if name != "day":
            raise NotFound(f"there is no stack {name!r}", code="stack_not_found", param="name")
        self.now = name
        return self.list()[0]


@frozen
class StandInRouting:
    """Three aliases: to a loaded model, to one on disk, and to nothing."""

    def aliases(self) -> Mapping[str, Sequence[str]]:
        return {"code": ["gone", "org/big"], "chat": ["small"], "none": ["gone"]}

    async def resolve(self, name: str) -> Sequence[str]:
        targets = [target for target in self.aliases()[name] if target != "gone"]
        if not targets:
            raise ModelNotFound(f"alias {name!r} names no model that is here", param="model")
        return targets

    def default_model(self) -> str | None:
        return "org/big"


@define(eq=False)
class StandInConfig:
    """The sections that the admin API reads."""

    sections: Mapping[str, Any] = field(
        factory=lambda: {
            "models": Models(max_concurrent_requests=4, kv_bits=8),
            "memory": Memory(max_memory_percent=80),
            "server": Server(),
        }
    )

    def section(self, name: str) -> Any:
        return self.sections[name]

    def plain(self) -> Mapping[str, Any]:
        return {"security": {"admin_key": "********"}}

    def origins(self) -> Mapping[str, str]:
        return {"security.admin_key": "00-server.yaml:3"}


@define(eq=False)
class StandInHealth:
    """Fixed answers of health checks."""

    answers: dict[str, Health] = field(factory=dict)

    async def report(self) -> Mapping[str, Health]:
        return self.answers

    async def ready(self) -> Health:
        return Health(ok=True)


@frozen
class StandInPlugins:
    """One record."""

    def list(self) -> Sequence[Mapping[str, Any]]:
        return [{"name": "admin", "status": "active"}]


@define(eq=False)
class StandIns:
    """All services."""

    script: Callable[[GenerationRequest], Iterable[Step]] = field(default=lambda _: said("Hello", " world"))
    models: StandInModels = field(factory=StandInModels)
    downloads: StandInDownloads = field(factory=StandInDownloads)
    jobs: StandInJobs = field(factory=StandInJobs)
    presets: StandInPresets = field(factory=StandInPresets)
    stacks: StandInStacks = field(factory=StandInStacks)
    routing: StandInRouting = field(factory=StandInRouting)
    config: StandInConfig = field(factory=StandInConfig)
    health: StandInHealth = field(factory=StandInHealth)
    plugins: StandInPlugins = field(factory=StandInPlugins)
    events: EventBus = field(factory=EventBus)
    metrics: PrometheusMetrics = field(factory=PrometheusMetrics)
    described: dict[str, Any] = field(factory=lambda: {"uptime_seconds": 12.5, "scheduler": {"waiting": 0}})
    reloaded: ReloadReport | LmxError = field(factory=ReloadReport)
    asked: list[GenerationRequest] = field(factory=list)
    generations: list[ScriptedGeneration] = field(factory=list)

    async def generate(self, request: GenerationRequest) -> ScriptedGeneration:
        self.asked.append(request)
        self.generations.append(ScriptedGeneration(list(self.script(request)), model=request.model))
        return self.generations[-1]

    async def reload(self) -> ReloadReport:
        if isinstance(self.reloaded, LmxError):
            raise self.reloaded
        return self.reloaded

    def describe(self) -> Mapping[str, Any]:
        return self.described
