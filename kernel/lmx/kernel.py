"""Builds what the plugins offer, starts it, and closes it in reverse."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

import attrs
from attrs import define, field, frozen

from lmx import __version__
from lmx.accounting import Accounting
from lmx.config import Config
from lmx.events import EventBus
from lmx.health import HealthDesk, PlacedCheck
from lmx.http.streaming import OpenRequests
from lmx.log import logger
from lmx.metrics import PrometheusMetrics
from lmx.models.catalogue import Backend, Catalogue
from lmx.models.lifecycle import Lifecycle
from lmx.pipeline import Pipeline
from lmx.plugins import Offer, Registry, Status
from lmx.plugins.describe import facts
from lmx.routing import Router
from lmx.structure import unstructure
from lmx.workers import Deaths, EngineHandle, engine_handle
from lmx_hookspecs import Generation, GenerationRequest, LmxError, Logger, ModelInfo, Scheduler, Ticket
from lmx_hookspecs.errors import ConfigError
from lmx_hookspecs.scheduling import Guard

if TYPE_CHECKING:
    from quart import Quart


@frozen
class PluginContext:
    """What one plugin is handed."""

    name: str
    config: Any
    log: Logger
    services: "Kernel"


@frozen
class PluginList:
    """The plugins service."""

    registry: Registry

    def list(self) -> Sequence[Mapping[str, Any]]:
        """One plain record per plugin."""
        return [facts(record) for record in self.registry.records]


@define(eq=False)
class Kernel:
    """The running server without its socket; it is the Services that plugins reach through their context."""

    config: Config
    registry: Registry
    log: Logger = field(factory=lambda: logger("lmx"))
    metrics: PrometheusMetrics = field(factory=PrometheusMetrics)
    events: EventBus = field(factory=EventBus)
    plugins: PluginList = field(init=False)
    models: Lifecycle = field(init=False)
    routing: Router = field(init=False)
    health: HealthDesk = field(init=False)
    accounting: Accounting = field(init=False)
    scheduler: Scheduler = field(init=False)
    guards: Sequence[Guard] = field(init=False)
    _pipeline: Pipeline = field(init=False)
    _contexts: dict[str, PluginContext] = field(factory=dict)
    _stack: AsyncExitStack = field(factory=AsyncExitStack)
    _started: float = field(factory=monotonic)

    def __attrs_post_init__(self) -> None:
        models, routing = self.config.section("models"), self.config.section("routing")
        catalogue = self._catalogue()
        self.plugins = PluginList(self.registry)
        self.models = self._lifecycle(catalogue)
        self.routing = Router(catalogue, self.models, routing.aliases, models.default_model or routing.default_model)
        self.accounting = Accounting(self.metrics, self.events, self.log)
        self.scheduler = self._chosen_scheduler()
        self.guards = list(self._opened(self.registry.specs("lmx_guards")).values())
        self._pipeline = Pipeline(
            self.routing,
            self.models,
            self.scheduler,
            self.guards,
            self.accounting,
            timeout_s=models.inference_timeout_sec,
            max_rows=models.max_concurrent_requests,
        )
        checks = [PlacedCheck(check, context) for check, context in self._placed("lmx_health_checks")]
        self.health = HealthDesk(checks, self.models, self.routing, models.auto_load, self.log)

    async def start(self) -> None:
        """Open for requests at once; models of `models.auto_load` load in the background, one after the other."""
        wanted = self.config.section("models").auto_load
        if wanted:
            loading = asyncio.create_task(self._auto_load(wanted), name="auto-load")
            self._stack.push_async_callback(_cancelled, loading)

    async def stop(self, grace_s: float | None = None) -> None:
        """Close everything that was opened; workers get `grace_s` to end, else what the configuration gives them."""
        self.health.stopping = True
        await self._stack.aclose()
        await self.models.close(grace_s)

    async def generate(self, request: GenerationRequest) -> Generation:
        """Route, admit and lease."""
        return await self._pipeline.generate(request)

    def app(self, open_requests: OpenRequests) -> "Quart":
        """The HTTP application of all surfaces."""
        from lmx.http.app import make_app

        return make_app(
            self._placed("lmx_surfaces"),
            self._placed("lmx_middlewares"),
            services=self,
            server=self.config.section("server"),
            security=self.config.section("security"),
            open_requests=open_requests,
            render_metrics=self.render_metrics,
            log=logger("http"),
            version=__version__,
        )

    def context(self, plugin: str) -> PluginContext:
        """The context of a plugin, always the same one."""
        if plugin not in self._contexts:
            self._contexts[plugin] = PluginContext(plugin, self.config.plugin(plugin), logger(plugin), self)
        return self._contexts[plugin]

    def describe(self) -> Mapping[str, Any]:
        """What every long-lived object says of itself."""
        return {
            "scheduler": self.scheduler.describe(),
            "guards": [guard.describe() for guard in self.guards],
            "events": self.events.describe(),
            "models": {
                resident.info.id: {**resident.engine.describe(), "state": resident.state}
                for resident in self.models.loaded()
            },
            "uptime_seconds": round(monotonic() - self._started, 1),
        }

    def render_metrics(self) -> bytes:
        """The Prometheus page, its gauges read at this moment."""
        import psutil

        memory = psutil.virtual_memory()
        queue = self.scheduler.describe()
        readings = {
            "lmx_uptime_seconds": monotonic() - self._started,
            "lmx_loaded_models": len(self.models.loaded()),
            "lmx_memory_used_gb": (memory.total - memory.available) / 1e9,
            "lmx_memory_total_gb": memory.total / 1e9,
            "lmx_in_flight_requests": self.accounting.in_flight,
            "lmx_concurrent_limit": queue["limit"],
            "lmx_queued_requests": queue["waiting"],
        }
        for name, value in readings.items():
            self.metrics.gauge(name, "Read when this page is made.").set(value)
        return self.metrics.render()

    def _placed(self, hook: str) -> list[tuple[Any, PluginContext]]:
        """Every spec of a hook with the context of the plugin that offers it."""
        return [(offer.spec, self.context(offer.plugin)) for offer in self.registry.specs(hook)]

    def _catalogue(self) -> Catalogue:
        models = self.config.section("models")
        sources = sorted(self.registry.specs("lmx_model_sources"), key=lambda offer: -offer.spec.priority)
        return Catalogue(
            self._opened(sources),
            [Backend(offer.plugin, offer.spec) for offer in self.registry.specs("lmx_backends")],
            settings={key: _given(entry) for key, entry in models.settings.items()},
            defaults={
                "mode": "batch" if models.use_batching else "single",
                "completion_batch_size": models.scheduler_completion_batch_size,
                "prefill_batch_size": models.scheduler_prefill_batch_size,
                "prefix_cache_enabled": models.prefix_cache_enabled,
                "metal_cache_limit_gb": models.metal_cache_limit_gb,
            },
            hints={
                record.name: record.advice or "" for record in self.registry.records if record.status is Status.IDLE
            },
        )

    def _lifecycle(self, catalogue: Catalogue) -> Lifecycle:
        models, workers = self.config.section("models"), self.config.section("workers")
        return Lifecycle(
            catalogue,
            self._engine,
            self.events,
            self.log,
            jit_load=models.jit_load,
            warmup=models.warmup_on_load,
            drain_s=self.config.section("server").shutdown_grace_s,
            stop_grace_s=workers.stop_grace_s,
            new_deaths=partial(
                Deaths,
                monotonic,
                workers.quarantine_window_s,
                workers.quarantine_after,
                workers.restart_pause_s,
                workers.max_restart_pause_s,
            ),
        )

    def _opened(self, offers: Sequence[Offer]) -> dict[str, Any]:
        """What these recipes make, by plugin and spec; a plugin that cannot be opened is listed as failed."""
        opened: dict[str, Any] = {}
        for offer in offers:
            try:
                opened[f"{offer.plugin}.{offer.spec.name}"] = offer.spec.open(self.context(offer.plugin))
            except Exception as error:  # one plugin may break in any way: the others, and the server, go on
                self.log.error("plugin_failed", plugin=offer.plugin, exc_info=error)
                self.registry.fail(offer.plugin, f"{offer.spec.name} could not be opened: {error}")
        return opened

    def _chosen_scheduler(self) -> Scheduler:
        policy = self.config.section("scheduling").policy
        offers = {offer.spec.name: offer for offer in self.registry.specs("lmx_schedulers")}
        if policy in offers:
            chosen: Scheduler = offers[policy].spec.open(self.context(offers[policy].plugin))
            return chosen
        if not offers and not self.registry.specs("lmx_backends"):
            return OpenDoor()  # nothing can be asked for, so there is nothing to order
        raise ConfigError(
            f"scheduling.policy is {policy!r}, and no active plugin offers it; "
            f"there {'are' if offers else 'is'}: {', '.join(sorted(offers)) or 'none'}"
        )

    def _engine(self, backend: Backend, info: ModelInfo, changed: Any) -> EngineHandle:
        return engine_handle(
            backend.spec,
            plugin=backend.plugin,
            plugin_config=unstructure(self.config.plugin(backend.plugin)) or {},
            model=info,
            settings=self.config.section("workers"),
            log=logger(f"worker.{backend.plugin}"),
            on_change=changed,
        )

    async def _auto_load(self, wanted: Sequence[str]) -> None:
        for model_id in wanted:
            try:
                await self.models.load(model_id)
            except LmxError as error:
                self.log.error("auto_load_failed", model=model_id, reason=error.message)


@define(eq=False)
class OpenDoor:
    """The scheduler of a kernel without plugins."""

    @asynccontextmanager
    async def admit(self, ticket: Ticket) -> AsyncIterator[None]:  # noqa: ARG002  the protocol's signature
        """Everybody may enter."""
        yield

    def describe(self) -> Mapping[str, Any]:
        """Nothing waits, nothing is limited."""
        return {"waiting": 0, "running": 0, "limit": 0}


def _given(entry: Any) -> dict[str, Any]:
    """The settings that an entry really sets."""
    plain = attrs.asdict(entry) if attrs.has(type(entry)) else dict(entry)
    return {name: value for name, value in plain.items() if value is not None}


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait([task])
