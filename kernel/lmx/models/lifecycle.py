"""The models service: loads, unloads, pins and deletes, and holds a model for the time of a request."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from time import monotonic
from typing import Any

from attrs import define, field

from lmx.config.schema import Memory, Models
from lmx.models.budget import Budget, report
from lmx.models.catalogue import Catalogue
from lmx.models.estimate import estimated
from lmx.models.gate import Gate
from lmx.models.idle import IdleWatch, Pause, pause
from lmx.models.ledger import Ledger
from lmx.models.loading import loaded
from lmx.models.machine import Machine
from lmx.models.outlook import Outlook, outlook_on
from lmx.models.prospects import Prospects
from lmx.models.residency import EngineFactory, Residency
from lmx.models.resident import Resident
from lmx.models.setbacks import Setbacks
from lmx.models.states import following
from lmx.models.statuses import Statuses
from lmx.models.terms import Negotiator, no_performance, refuse_other
from lmx.models.upkeep import Upkeep
from lmx.state.document import LoadedModel
from lmx.state.keeper import kept_nowhere
from lmx.workers import Deaths
from lmx_hookspecs import EventsService, LoadOptions, Logger, MemoryReport, ModelState, ModelStatus
from lmx_hookspecs.errors import ModelNotFound, Unavailable

NO_OPTIONS = LoadOptions()


@define(eq=False)
class Lifecycle:
    """The models: one load at a time per model, however many ask, and no unload under a running request."""

    catalogue: Catalogue
    engine: EngineFactory
    events: EventsService
    log: Logger
    config: Callable[[], Models] = Models
    """The section `models`, as it is now."""
    memory_config: Callable[[], Memory] = Memory
    machine: Machine = field(factory=Machine)
    performance_of: Callable[[str], Mapping[str, Any]] = no_performance
    """The performance settings that presets have for a model."""
    downloading: Callable[[], Collection[str]] = tuple
    """Ids of the models on their way here."""
    changed: Callable[[], None] = field(default=lambda: None)
    """Called after every change of `snapshot` and `quarantined`."""
    kept: Callable[[], Awaitable[None]] = kept_nowhere
    """Awaited before an operator's change is acknowledged: returns once what `changed` told of outlives a crash."""
    drain_s: float = 30.0
    stop_grace_s: float = 5.0
    new_deaths: Callable[[], Deaths] = field(factory=lambda: partial(Deaths, monotonic, 300.0, 3, 0.5, 30.0))
    """A fresh count of failed loads for one model."""
    clock: Callable[[], float] = monotonic
    pause: Pause = pause
    ledger: Ledger = field(init=False)
    prospects: Prospects = field(init=False)
    relieve: Callable[[str], Awaitable[None]] = field(init=False)
    """Unload idle models until the budget is kept again, as far as that helps: what has that name has outgrown it."""
    put_away: set[str] = field(factory=set, init=False)
    """What operators have unloaded and nobody has asked for since: no guess brings it back."""
    _residency: Residency = field(init=False)
    _setbacks: Setbacks = field(init=False)
    _gate: Gate = field(init=False)
    _budget: Budget = field(init=False)
    _negotiator: Negotiator = field(init=False)
    _statuses: Statuses = field(init=False)
    _idle: IdleWatch = field(init=False)
    _upkeep: Upkeep = field(init=False)
    _watches: "list[asyncio.Task[None]]" = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self._budget = Budget(models=self.config, memory=self.memory_config, machine=self.machine)
        self.ledger = Ledger(self._budget.total_bytes, self._budget.available_bytes)
        self._setbacks = Setbacks(self.new_deaths)
        self._gate = Gate(self._setbacks, self.downloading)
        self._negotiator = Negotiator(self.catalogue, self.performance_of)
        self._residency = Residency(
            self.engine,
            self.ledger,
            self._setbacks,
            self.events,
            self.log,
            self._changed,
            warm_up=lambda: self.config().warmup_on_load,
            may_evict=lambda: self.memory_config().auto_evict_lru,
            drain_s=self.drain_s,
            stop_grace_s=self.stop_grace_s,
            clock=self.clock,
        )
        self.relieve = self._residency.relieve
        self.prospects = Prospects(self.ledger, self._residency.by_id)
        self._statuses = Statuses(self.catalogue, self._setbacks, self._residency.by_id, self.downloading)
        self._idle = IdleWatch(
            self.loaded, self._residency.evict, self.memory_config, self.events, self.log, self.pause
        )
        self._upkeep = Upkeep(
            self.ledger, self.loaded, lambda: self.memory_config().ttl_check_interval_sec, self.events, self.log
        )

    def start(self) -> None:
        """Unload what is idle for too long, and measure what runs, until `close`."""
        self._watches = [asyncio.create_task(self._watch(run)) for run in (self._idle.run, self._upkeep.run)]

    async def close(self, grace_s: float | None = None) -> None:
        """Stop every engine, each within `grace_s`, and load no other."""
        self._gate.closed = True
        for watch in self._watches:
            watch.cancel()
        if self._watches:
            await asyncio.wait(self._watches)
        await self._residency.close(grace_s)

    @property
    def jit_load(self) -> bool:
        """Whether a request loads the model that it asks for."""
        return self.config().jit_load

    async def list(self) -> Sequence[ModelStatus]:
        """Every model: ready ones first, then by id."""
        return await self._statuses.list()

    async def get(self, model_id: str, *, fresh: bool = False) -> ModelStatus:
        """One model; raises ModelNotFound. `fresh` asks its engine what it holds now."""
        return await self._statuses.get(model_id, fresh=fresh)

    def loaded(self) -> Sequence[Resident]:
        """The residents now, by id."""
        return self._residency.all()

    async def outlook(self, model_id: str) -> Outlook:
        """What a request for this model has to reckon with; cheap once it is loaded."""
        resident = self._resident(model_id)
        if resident is not None:
            return outlook_on(resident)
        info = await self.catalogue.find(model_id)
        return Outlook(info, self.catalogue.capabilities_of(info))

    def is_ready(self, model_id: str) -> bool:
        """Whether a request for it would find it loaded."""
        resident = self._resident(model_id)
        return resident is not None and resident.ready

    async def need_bytes(self, model_id: str) -> int:
        """What a load of it would set aside; raises ModelNotFound."""
        terms = await self._negotiator.terms(model_id, NO_OPTIONS)
        return (await estimated(terms.backend.spec, terms.info, self.log, terms.draft)).total_bytes

    async def load(self, model_id: str, options: LoadOptions = NO_OPTIONS) -> ModelStatus:
        """Load, or wait for the load in progress; returns once it is ready.

        A model that is loaded or loading takes over the keep-alive and the pin; other performance than it is loaded
        with raises Conflict.
        """
        status = (await self._ready(model_id, options)).status()
        await self.kept()
        return status

    @asynccontextmanager
    async def lease(self, model_id: str) -> AsyncIterator[Resident]:
        """Hold the model for one request, loading it first where `models.jit_load` allows.

        Raises Unavailable while an operator unloads it: a request must not bring back what an operator takes away.
        """
        resident = self._resident(model_id)
        if resident is None or resident.evicted:
            await self._check_jit_load(model_id)
        elif resident.state is ModelState.DRAINING:
            raise Unavailable(f"model {model_id!r} is being unloaded", code="model_draining", param="model")
        resident = await self._ready(model_id, NO_OPTIONS)
        with resident.hold():
            yield resident

    async def unload(self, model_id: str) -> int:
        """Drain, stop the worker, and return the bytes that came back; cancels a load, and forgives a quarantine."""
        resident = self._resident(model_id)
        freed_bytes = self._forgive(model_id) if resident is None else await self._put_away(resident)
        await self.kept()
        return freed_bytes

    async def pin(self, model_id: str, *, pinned: bool) -> ModelStatus:
        """Keep a loaded model from being evicted, or stop doing so; raises ModelNotFound when it is not loaded."""
        resident = self._resident(model_id)
        if resident is None or resident.state is ModelState.DRAINING:
            raise _not_loaded(model_id)
        self._adjust(resident, LoadOptions(pinned=pinned))
        await self.kept()
        return resident.status()

    async def delete(self, model_id: str) -> int:
        """Delete a model's files and return the bytes freed; raises ModelNotFound, and Conflict while it is in use."""
        with self._gate.deletion(model_id, self._resident(model_id), self._residency.users_of(model_id)):
            freed_bytes = await self.catalogue.delete(model_id)
        if self._setbacks.forgive(model_id):
            self._changed()
            await self.kept()
        self.log.info("model_deleted", model=model_id, freed_bytes=freed_bytes)
        return freed_bytes

    def look_again(self) -> None:
        """Ask the engines what they can do, which a new configuration may have changed."""
        self._upkeep.hurry()

    def memory(self) -> MemoryReport:
        """The ledger: the machine, the budget, and who holds what."""
        return report(self._budget, self.ledger, self._residency.by_id)

    def snapshot(self) -> Sequence[LoadedModel]:
        """What a restart should load again: what is ready, or on its way."""
        kept = {ModelState.READY, ModelState.LOADING}
        return [resident.record() for resident in self.loaded() if resident.state in kept]

    def quarantined(self) -> Mapping[str, str]:
        """The models that are left alone until they are unloaded, and why."""
        return self._setbacks.quarantined()

    def quarantine(self, model_id: str, reason: str) -> None:
        """Leave a model alone, before anything is loaded: a restart does not let out what was in quarantine."""
        self._setbacks.quarantine(model_id, reason)

    def _resident(self, model_id: str) -> Resident | None:
        return self._residency.by_id.get(model_id)

    async def _ready(self, model_id: str, options: LoadOptions) -> Resident:
        while True:
            resident = self._resident(model_id) or await self._begin(model_id, options)
            if resident.unloading is not None:
                await asyncio.wait([resident.unloading])
                continue
            self._adjust(resident, options)
            if resident.state is ModelState.READY:
                return resident
            with resident.awaited():
                await loaded(resident)

    async def _begin(self, model_id: str, options: LoadOptions) -> Resident:
        self._gate.check(model_id)
        asked_s = self.clock()
        terms = await self._negotiator.terms(model_id, options)
        self._gate.check(model_id, terms.others)  # much may have happened while we looked it up
        self.put_away.discard(model_id)
        return self._resident(model_id) or self._residency.begin(terms, asked_s)

    def _adjust(self, resident: Resident, options: LoadOptions) -> None:
        """Take over what can change of a model that is here already; raises Conflict for what cannot."""
        if options is NO_OPTIONS or options is resident.terms.options:
            return
        refuse_other(resident.info, options)
        if resident.adopt(options):
            self._changed()

    async def _check_jit_load(self, model_id: str) -> None:
        if self.jit_load:
            return
        await self.catalogue.find(model_id)
        self._gate.check(model_id)
        raise ModelNotFound(
            f"model {model_id!r} is not loaded and models.jit_load is off; load it with `lmx load {model_id}`",
            param="model",
        )

    async def _put_away(self, resident: Resident) -> int:
        resident.evicted = False
        self.put_away.add(resident.info.id)
        return await asyncio.shield(self._residency.begin_unload(resident))

    def _forgive(self, model_id: str) -> int:
        before = self._setbacks.state(model_id)
        if not self._setbacks.forgive(model_id):
            raise _not_loaded(model_id)
        state = following(before, ModelState.ON_DISK)
        self.events.publish("model_state", {"model_id": model_id, "state": state, "reason": None})
        self._changed()
        return 0

    async def _watch(self, run: Callable[[], Awaitable[None]]) -> None:
        try:
            await run()
        except Exception as error:  # a bug there must be seen, and costs the models that run nothing
            self.log.error("models_watch_failed", exc_info=error)

    def _changed(self) -> None:
        self._idle.wake()
        self._upkeep.check()
        if not self._gate.closed:  # what a stop unloads is loaded again by the next start
            self.changed()


def _not_loaded(model_id: str) -> ModelNotFound:
    return ModelNotFound(f"model {model_id!r} is not loaded; `lmx models list` shows what is", param="model_id")
