"""Builds what the plugins offer, starts it, and closes it in reverse."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from attrs import define, field

from lmx import __version__, wiring
from lmx.accounting import Accounting
from lmx.calls import Calls
from lmx.config import Config
from lmx.config.reload import Sources
from lmx.counting import count_tokens
from lmx.describing import description_of
from lmx.downloads import Downloads
from lmx.events import EventBus
from lmx.health import HealthDesk, PlacedCheck
from lmx.http.streaming import OpenRequests
from lmx.jobs import Jobs
from lmx.loads_at_start import LoadsAtStart
from lmx.log import logger
from lmx.metrics import PrometheusMetrics
from lmx.models.catalogue import Backend
from lmx.models.lifecycle import Lifecycle
from lmx.opening import Opener, PluginContext, PluginList
from lmx.pipeline import Pipeline
from lmx.plugins import Registry
from lmx.predictor import Predictor, Preloader
from lmx.presets import PresetLibrary, Stacks
from lmx.readings import readings
from lmx.reconfiguring import reconfigure
from lmx.retrieval.building import retrieval_of
from lmx.retrieval.service import RetrievalDesk
from lmx.routing import Router
from lmx.state import RuntimeState
from lmx.structure import unstructure
from lmx.workers import EngineHandle, OnChange
from lmx_hookspecs import Generation, GenerationRequest, Logger, ModelInfo, ReloadReport, Scheduler, TokenCount
from lmx_hookspecs.embedding import EmbeddingRequest, Embeddings, Reranking, RerankRequest
from lmx_hookspecs.events import STOPPING
from lmx_hookspecs.http import Wrap
from lmx_hookspecs.scheduling import Guard

if TYPE_CHECKING:
    from quart import Quart

    from lmx.http.access import Access

KEPT_WITHIN_S = 2.0
"""The longest that a change waits for a slow disk before it is acknowledged."""


@define(eq=False)
class Kernel:
    """The running server without its socket; it is the Services that plugins reach through their context."""

    config: Config
    registry: Registry
    sources: Sources | None = None
    """With which `reload` reads the configuration again."""
    home: Path | None = None
    """Where runtime state and keys are kept; None keeps neither."""
    loads_at_start: bool = True
    """Whether `start` loads what a crash took away, and what the configuration and presets name."""
    log: Logger = field(factory=lambda: logger("lmx"))
    metrics: PrometheusMetrics = field(init=False)
    events: EventBus = field(factory=EventBus)
    plugins: PluginList = field(init=False)
    presets: PresetLibrary = field(init=False)
    models: Lifecycle = field(init=False)
    start_loads: LoadsAtStart = field(init=False)
    stacks: Stacks = field(init=False)
    routing: Router = field(init=False)
    jobs: Jobs = field(init=False)
    downloads: Downloads = field(init=False)
    state: RuntimeState = field(factory=RuntimeState)
    health: HealthDesk = field(init=False)
    accounting: Accounting = field(init=False)
    scheduler: Scheduler = field(init=False)
    guards: Sequence[Guard] = field(init=False)
    middlewares: Mapping[str, Wrap] = field(init=False)
    surfaces: Mapping[str, Any] = field(init=False)
    opener: Opener = field(init=False)
    pipeline: Pipeline = field(init=False)
    calls: Calls = field(init=False)
    preloader: Preloader = field(init=False)
    retrieval: RetrievalDesk = field(init=False)
    access: "Access | None" = None
    _contexts: dict[str, PluginContext] = field(factory=dict)
    _reloading: asyncio.Lock = field(factory=asyncio.Lock)
    _started: float = field(factory=monotonic)

    def __attrs_post_init__(self) -> None:
        self.metrics = PrometheusMetrics(readings=lambda: readings(self))
        self.plugins = PluginList(self.registry)
        self.opener = Opener(self.registry, self.context, self.log)
        self.accounting = Accounting(self.metrics, self.events, self.log)
        self.scheduler = self.opener.scheduler(self.config.section("scheduling").policy)
        self.guards = list(self.opener.open(self.registry.specs("lmx_guards")).values())
        self.middlewares = self.opener.middlewares()
        self.surfaces = self.opener.surfaces()
        self._build_models()
        self._build_requests()

    def _build_models(self) -> None:
        config, sources = self.config, wiring.sources_of(self.registry)
        presets, workers = config.section("presets"), config.section("workers")
        self.presets = PresetLibrary(
            wiring.presets_folder(presets, config.raw.directory), enabled=presets.enabled, log=self.log
        )
        self.models = Lifecycle(
            wiring.catalogue_of(config.section("models"), self.registry, self.opener.open(sources)),
            self._engine,
            self.events,
            self.log,
            config=lambda: self.config.section("models"),
            memory_config=lambda: self.config.section("memory"),
            performance_of=self.presets.performance_of,
            downloading=lambda: self.downloads.downloading(),  # noqa: PLW0108  they are made further down
            changed=self._persist,
            kept=self._kept,
            drain_s=config.section("server").shutdown_grace_s,
            stop_grace_s=workers.stop_grace_s,
            new_deaths=wiring.deaths_of(workers),
        )
        self.start_loads = LoadsAtStart(self.models, self.state, self.log)
        self.stacks = Stacks(self.models, config.section("stack_presets"), self._persist, self.log, self._kept)
        self.jobs = Jobs(
            partial(self.registry.specs, "lmx_jobs"),
            lambda plugin: unstructure(self.config.plugin(plugin)) or {},
            self.events,
            logger("jobs"),
            workers.stop_grace_s,
            interpreter_of=self.registry.interpreter,
        )
        downloader = self.opener.downloader(sources)
        self.downloads = Downloads(
            downloader, self.jobs, self.models, self.events, self.log, self._persist, kept=self._kept
        )

    def _build_requests(self) -> None:
        models, routing = self.config.section("models"), self.config.section("routing")
        catalogue = self.models.catalogue
        self.routing = Router(
            catalogue, self.models, routing.aliases, routing.default_model, self.presets, self.stacks.roles
        )
        predictor = Predictor()
        self.preloader = Preloader(predictor, self.models, enabled=models.preload_predicted, log=self.log)
        self.pipeline = Pipeline(
            self.routing,
            self.models,
            self.scheduler,
            self.guards,
            self.accounting,
            timeout_s=models.inference_timeout_sec,
            max_rows=models.max_concurrent_requests,
            predictor=predictor,
            canonicaliser=wiring.canonicaliser(self.config.section("prompts")),
            judges=wiring.judges(self.registry),
            on_end=self.preloader.consider,
        )
        self.calls = Calls(
            self.routing,
            self.models,
            self.pipeline.admission,
            self.accounting,
            lambda: self.config.section("models").inference_timeout_sec,
        )
        self.retrieval = retrieval_of(self)
        checks = [PlacedCheck(check, context) for check, context in self._placed("lmx_health_checks")]
        self.health = HealthDesk(checks, self.models, self.routing, models.auto_load, self.log, self.state)

    async def start(self) -> None:
        """Open for requests at once; what is to be loaded is loaded in the background, one after the other."""
        models = self.config.section("models")
        if self.home is not None:
            await self.state.open(self.home, self.log, restore=models.restore)
        # Before anything else that is written down: what is not known here by then is forgotten.
        self.downloads.resume(self.state.previous.downloads, begin=not self.state.safe_mode)
        await self.presets.reload()
        named = [*dict.fromkeys([*models.auto_load, *self.presets.auto_load()])] if self.loads_at_start else []
        self.health.auto_load = named
        for model_id, reason in self.state.previous.quarantined.items():
            self.models.quarantine(model_id, reason)
        self.stacks.restore(self.state.previous.active_stack)
        self.models.start()
        await self.opener.start()
        self.retrieval.begin()
        if self.loads_at_start and not self.state.safe_mode:
            self.start_loads.begin(named)

    async def stop(self, grace_s: float | None = None) -> None:
        """Close everything that was opened; workers get `grace_s` to end, else what the configuration gives them."""
        self.health.stopping = True
        self.events.publish(STOPPING, {})
        self.state.freeze()
        await self.start_loads.close()
        await self.preloader.close()
        await self.downloads.close()
        await self.jobs.close(grace_s)
        await self.retrieval.close(grace_s)
        await self.models.close(grace_s)
        await self.opener.close()
        self.state.mark_clean()
        await self.state.close()

    async def generate(self, request: GenerationRequest) -> Generation:
        """Route, admit and lease."""
        return await self.pipeline.generate(request)

    async def count_tokens(self, request: GenerationRequest) -> TokenCount:
        """Count the prompts, and make nothing."""
        return await count_tokens(self.pipeline, request)

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """One vector per input."""
        return await self.calls.embed(request)

    async def rerank(self, request: RerankRequest) -> Reranking:
        """The documents, best first."""
        return await self.calls.rerank(request)

    async def reload(self) -> ReloadReport:
        """Read the configuration and the presets again: all or nothing; raises ConfigError with every problem."""
        async with self._reloading:
            plan = await reconfigure(self)
        self.events.publish("config_reloaded", plan.event())
        self.log.info("config_reloaded", changed=plan.report.changed, needs_restart=plan.report.needs_restart)
        return plan.report

    def app(self, open_requests: OpenRequests) -> "Quart":
        """The HTTP application of all surfaces; raises ConfigError for a file of keys that cannot be read."""
        from lmx.http.access import access_of, watched_keys
        from lmx.http.app import make_app

        server, security = self.config.section("server"), self.config.section("security")
        self.access = access_of(server, security, watched_keys(self.home, self.log) if self.home else None)
        return make_app(
            self._placed("lmx_surfaces"),
            list(self.middlewares.values()),
            services=self,
            server=server,
            security=security,
            access=self.access,
            open_requests=open_requests,
            render_metrics=self.metrics.render,
            log=logger("http"),
            version=__version__,
            uploads=self.home / "uploads" if self.home else None,
        )

    def context(self, plugin: str) -> PluginContext:
        """The context of a plugin, always the same one."""
        if plugin not in self._contexts:
            self._contexts[plugin] = PluginContext(plugin, logger(plugin), self)
        return self._contexts[plugin]

    @property
    def uptime_s(self) -> float:
        """Seconds since it was built."""
        return monotonic() - self._started

    def describe(self) -> Mapping[str, Any]:
        """What every long-lived object says of itself."""
        return description_of(self)

    def _engine(self, backend: Backend, info: ModelInfo, changed: OnChange) -> EngineHandle:
        return wiring.engine_of(
            self.config, self.registry, self.context(backend.plugin), backend, info, changed=changed
        )

    def _placed(self, hook: str) -> list[tuple[Any, PluginContext]]:
        """Every spec of a hook with the context of the plugin that offers it."""
        return [(offer.spec, self.context(offer.plugin)) for offer in self.registry.specs(hook)]

    def _persist(self) -> None:
        """Write down what a restart has to bring back."""
        self.state.update(
            loaded_models=self.models.snapshot(),
            quarantined=self.models.quarantined(),
            downloads=self.downloads.snapshot(),
            active_stack=self.stacks.snapshot(),
        )

    async def _kept(self) -> None:
        """Return once what was recorded is on disk, so that no answer tells of what a crash forgets."""
        await self.state.flush(KEPT_WITHIN_S)
