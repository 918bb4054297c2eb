"""Brings models in and takes them out again: the tasks behind every load, unload and eviction."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic, perf_counter

from attrs import define, field

from lmx.models.catalogue import Backend
from lmx.models.estimate import GB
from lmx.models.ledger import Ledger
from lmx.models.loading import bring_up
from lmx.models.resident import Resident
from lmx.models.room import Room
from lmx.models.setbacks import Setbacks
from lmx.models.terms import Terms
from lmx.workers import EngineHandle, EngineState, OnChange
from lmx_hookspecs import EventsService, Logger, ModelInfo, ModelState
from lmx_hookspecs.errors import EngineFailed, InsufficientMemory, LmxError

EngineFactory = Callable[[Backend, ModelInfo, OnChange], EngineHandle]
"""Makes an engine that reports its changes of state: `ready`, `restarting`, `quarantined`, and why."""


@define(eq=False)
class Residency:
    """The residents by model id, each from the begin of its load until it is gone."""

    engine: EngineFactory
    ledger: Ledger
    setbacks: Setbacks
    events: EventsService
    log: Logger
    changed: Callable[[], None]
    """Called after every change that a restart should find again."""
    warm_up: Callable[[], bool]
    may_evict: Callable[[], bool]
    drain_s: float = 30.0
    stop_grace_s: float = 5.0
    clock: Callable[[], float] = monotonic
    by_id: dict[str, Resident] = field(factory=dict, init=False)
    _room: Room = field(init=False)
    _burials: set["asyncio.Task[None]"] = field(factory=set, init=False)

    def __attrs_post_init__(self) -> None:
        self._room = Room(self.ledger, self.all, self._evict_for, self.may_evict)

    def all(self) -> Sequence[Resident]:
        """The residents now, by id."""
        return [self.by_id[key] for key in sorted(self.by_id)]

    def users_of(self, model_id: str) -> Sequence[str]:
        """Ids of the models here that open the files of that one too."""
        return [resident.info.id for resident in self.all() if model_id in resident.terms.others]

    def begin(self, terms: Terms, asked_s: float) -> Resident:
        """Start to load a model that is not here, asked for at that time; its task is the resident's `loading`."""
        model_id = terms.info.id
        resident = Resident(terms, self._tell, asked_s, self.clock, self.setbacks.state(model_id))
        resident.engine = self.engine(terms.backend, terms.info, partial(self._engine_changed, resident))
        self.setbacks.overcome(model_id)
        resident.become(ModelState.LOADING)
        self.by_id[model_id] = resident
        resident.loading = asyncio.create_task(self._load(resident), name=f"load {model_id}")
        resident.loading.add_done_callback(_seen)
        self.changed()
        return resident

    def begin_unload(self, resident: Resident) -> "asyncio.Task[int]":
        """Drain and stop it, or cancel its load; the one task of all who want it gone returns the bytes it held."""
        if resident.unloading is None:
            if resident.loading is not None:
                resident.loading.cancel()
            resident.become(ModelState.DRAINING)
            resident.unloading = asyncio.create_task(self._unload(resident), name=f"unload {resident.info.id}")
        return resident.unloading

    def evict(self, resident: Resident) -> "asyncio.Task[int]":
        """Unload it in such a way that a request may bring it back."""
        resident.evicted = True
        return self.begin_unload(resident)

    async def relieve(self, name: str) -> None:
        """Unload idle models until the budget is kept again, as far as that helps: `name` has grown beyond it."""
        await self._room.relieve(name)

    async def close(self, grace_s: float | None) -> None:
        """Unload all, without waiting for requests, each within `grace_s`."""
        if grace_s is not None:
            self.stop_grace_s = grace_s
        residents = self.all()
        unloads = [self.begin_unload(resident) for resident in residents]
        for resident in residents:
            resident.stop_draining()
        await asyncio.gather(*unloads, *self._burials)

    async def _load(self, resident: Resident) -> None:
        began = perf_counter()
        try:
            await bring_up(resident, self._room, self.log, warm=self.warm_up())
        except Exception as error:  # whatever a load ends in, nobody may wait for this model for ever
            await self._fail(resident, error)
            raise
        resident.become(ModelState.READY)
        self._announce(resident, perf_counter() - began)
        self.changed()

    async def _fail(self, resident: Resident, error: Exception) -> None:
        """Free the engine, then say why; a model whose loads keep killing its worker is left alone."""
        model_id = resident.info.id
        quarantined = resident.engine.state is EngineState.QUARANTINED
        await self._stop(resident)
        self._forget(resident)
        reason = (error.detail if isinstance(error, LmxError) else None) or str(error)
        if isinstance(error, InsufficientMemory):
            resident.become(ModelState.ON_DISK, reason)
            self.log.warning("model_does_not_fit", model=model_id, reason=reason)
        else:
            if quarantined:
                setback = self.setbacks.quarantine(model_id, reason)
            else:
                setback = self.setbacks.failed(model_id, reason, worker_died=isinstance(error, EngineFailed))
            resident.become(setback.state, reason)
            bug = None if isinstance(error, LmxError) else error
            self.log.error("model_failed", model=model_id, state=resident.state, reason=reason, exc_info=bug)
        self.changed()

    async def _unload(self, resident: Resident) -> int:
        model_id = resident.info.id
        if resident.loading is not None:
            await asyncio.wait([resident.loading])
        if not await resident.drain(self.drain_s):
            self.log.warning("unload_cuts_requests", model=model_id, in_flight=resident.in_flight)
        freed_bytes = resident.memory_bytes
        await self._stop(resident)
        self._forget(resident)
        self.setbacks.forgive(model_id)
        resident.become(ModelState.ON_DISK)
        if resident.loaded_at is None:
            self.log.info("model_load_cancelled", model=model_id)
        else:
            self.events.publish("model_unloaded", {"model_id": model_id, "memory_freed_gb": round(freed_bytes / GB, 3)})
            self.log.info("model_unloaded", model=model_id, freed_bytes=freed_bytes)
        self.changed()
        return freed_bytes

    async def _stop(self, resident: Resident) -> None:
        try:
            await resident.engine.stop(self.stop_grace_s)
        except Exception as error:  # an inline engine's own clean-up may break: its model is gone all the same
            self.log.error("engine_stop_failed", model=resident.info.id, exc_info=error)

    def _forget(self, resident: Resident) -> None:
        if resident.claim is not None:
            resident.claim.release()
        if self.by_id.get(resident.info.id) is resident:
            del self.by_id[resident.info.id]

    def _evict_for(self, resident: Resident, wanted: str) -> "asyncio.Task[int]":
        model_id = resident.info.id
        self.events.publish("model_evicted", {"model_id": model_id, "for": wanted})
        self.log.info("model_evicted", model=model_id, wanted=wanted, held_bytes=resident.held_bytes)
        return self.evict(resident)

    def _engine_changed(self, resident: Resident, state: EngineState, reason: str) -> None:
        """Its worker is being replaced, is back, or is given up."""
        if resident.state is ModelState.LOADING:
            resident.reason = None if state is EngineState.READY else reason
        elif resident.state is ModelState.READY and state is EngineState.QUARANTINED:
            self._bury(resident, reason)
        elif resident.state is ModelState.READY:
            self.log.info("worker_state", model=resident.info.id, state=state, reason=reason)
            resident.worker_changed(None if state is EngineState.READY else reason)

    def _bury(self, resident: Resident, reason: str) -> None:
        """Its workers are dead, so its memory is free; what is left of the engine goes in the background."""
        self.setbacks.quarantine(resident.info.id, reason)
        resident.become(ModelState.QUARANTINED, reason)
        self._forget(resident)
        self.log.error("model_quarantined", model=resident.info.id, reason=reason)
        burial = asyncio.create_task(self._stop(resident), name=f"bury {resident.info.id}")
        self._burials.add(burial)
        burial.add_done_callback(self._burials.discard)
        self.changed()

    def _tell(self, resident: Resident) -> None:
        facts = {"model_id": resident.info.id, "state": resident.shown_state, "reason": resident.reason}
        self.events.publish("model_state", facts)

    def _announce(self, resident: Resident, took_s: float) -> None:
        model_id, description = resident.info.id, resident.description
        self.events.publish(
            "model_loaded",
            {
                "model_id": model_id,
                "format": resident.info.format,
                "memory_gb": round(resident.memory_bytes / GB, 3),
                "duration_sec": round(took_s, 3),
            },
        )
        self.log.info(
            "model_ready",
            model=model_id,
            backend=resident.backend.spec.name,
            context_length=description.context_length if description else None,
            memory_bytes=resident.memory_bytes,
            load_s=round(took_s, 3),
        )


def _seen(task: "asyncio.Task[None]") -> None:
    """Its failure is in the log and in the model's state; asyncio need not report it again."""
    if not task.cancelled():
        task.exception()
