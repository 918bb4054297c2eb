"""Loads and unloads models: one load at a time per model, however many ask, and no unload under a running request."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from time import monotonic, perf_counter, time
from typing import Any

from attrs import define, field, frozen

from lmx.models.catalogue import Backend, Catalogue
from lmx.models.resident import Resident
from lmx.workers import Deaths, EngineHandle, EngineState, OnChange
from lmx_hookspecs import GenerationRequest, Logger, Message, ModelInfo, ModelState, ModelStatus, Sampling
from lmx_hookspecs.capabilities import Capability
from lmx_hookspecs.context import EventsService
from lmx_hookspecs.errors import EngineFailed, LmxError, ModelNotFound, Unavailable

EngineFactory = Callable[[Backend, ModelInfo, OnChange], EngineHandle]
"""Makes an engine that reports its changes of state: `ready`, `restarting`, `quarantined`, and why."""


@frozen
class Outlook:
    """A model before it is leased: what its backend can do, and how many rows it takes if that is known yet."""

    info: ModelInfo
    capabilities: frozenset[str]
    ready: bool
    max_rows: int | None = None


@define(eq=False)
class Lifecycle:
    """The loaded models."""

    catalogue: Catalogue
    engine: EngineFactory
    events: EventsService
    log: Logger
    jit_load: bool = True
    warmup: bool = True
    drain_s: float = 30.0
    stop_grace_s: float = 5.0
    new_deaths: Callable[[], Deaths] = field(factory=lambda: partial(Deaths, monotonic, 300.0, 3, 0.5, 30.0))
    """A fresh count of failed loads for one model."""
    _deaths: dict[str, Deaths] = field(factory=dict, init=False)
    _residents: dict[str, Resident] = field(factory=dict, init=False)
    _closed: bool = field(default=False, init=False)

    async def list(self) -> Sequence[ModelStatus]:
        """Every model: loaded ones first, then by id."""
        known = {info.id: self._on_disk(info) for info in await self.catalogue.models()}
        loaded = {model_id: resident.status() for model_id, resident in sorted(self._residents.items())}
        ready = [status for status in loaded.values() if status.state is ModelState.READY]
        others = {**known, **loaded}
        return [*ready, *(others[key] for key in sorted(others) if others[key] not in ready)]

    async def get(self, model_id: str) -> ModelStatus:
        """One model; raises ModelNotFound."""
        resident = self._residents.get(model_id)
        return resident.status() if resident else self._on_disk(await self.catalogue.find(model_id))

    def loaded(self) -> Sequence[Resident]:
        """The residents now, by id."""
        return [self._residents[key] for key in sorted(self._residents)]

    async def outlook(self, model_id: str) -> Outlook:
        """What a request for this model has to reckon with; cheap once it is loaded."""
        resident = self._residents.get(model_id)
        if resident is not None:
            rows = resident.description.max_rows if resident.description else None
            return Outlook(resident.info, resident.capabilities, self.is_ready(model_id), rows)
        info = await self.catalogue.find(model_id)
        return Outlook(info, self.catalogue.backend_for(info).spec.capabilities, ready=False)

    def is_ready(self, model_id: str) -> bool:
        """Whether a request for it would find it loaded."""
        resident = self._residents.get(model_id)
        return resident is not None and resident.ready

    async def load(self, model_id: str, **_options: Any) -> ModelStatus:
        """Load, or wait for the load in progress; returns once it is ready."""
        return (await self._ready(model_id)).status()

    @asynccontextmanager
    async def lease(self, model_id: str) -> AsyncIterator[Resident]:
        """Hold the model for one request, loading it first where `models.jit_load` allows.

        Raises Unavailable while it is being unloaded: a request must not bring back what an operator takes away.
        """
        resident = self._residents.get(model_id)
        if resident is None and not self.jit_load:
            await self._refuse_unloaded(model_id)
        if resident is not None and resident.state is ModelState.DRAINING:
            raise Unavailable(f"model {model_id!r} is being unloaded", code="model_draining", param="model")
        resident = await self._ready(model_id)
        async with resident.hold():
            yield resident

    async def unload(self, model_id: str) -> int:
        """Drain, stop the worker, and return the bytes that came back; raises ModelNotFound when it is not loaded."""
        resident = self._residents.get(model_id)
        if resident is None:
            raise ModelNotFound(f"model {model_id!r} is not loaded; `lmx models list` shows what is", param="model_id")
        if resident.unloading is None:
            resident.state = ModelState.DRAINING
            resident.unloading = asyncio.create_task(self._unload(resident), name=f"unload {model_id}")
        await asyncio.wait([resident.unloading])
        return resident.unloading.result()

    async def close(self, grace_s: float | None = None) -> None:
        """Stop every engine, each within `grace_s`, and load no other."""
        self._closed = True
        await asyncio.gather(*(self._stop(resident, grace_s) for resident in self.loaded()))

    async def _ready(self, model_id: str) -> Resident:
        while True:
            resident = self._residents.get(model_id)
            if resident is None or resident.state is ModelState.FAILED:
                resident = await self._begin(model_id)
            if resident.state is ModelState.READY:
                return resident
            if resident.state is ModelState.QUARANTINED:
                raise Unavailable(
                    f"model {model_id!r} is quarantined, the log says why; unload it to try again",
                    code="model_quarantined",
                    param="model",
                )
            if resident.unloading is not None:
                await asyncio.wait([resident.unloading])
            else:
                await self._loaded(resident)

    async def _begin(self, model_id: str) -> Resident:
        info = await self.catalogue.find(model_id)
        backend = self.catalogue.backend_for(info)
        if self._closed:
            raise Unavailable("the server is shutting down", code="model_draining")
        current = self._residents.get(model_id)
        if current is not None and current.state is not ModelState.FAILED:
            return current  # somebody else began while we looked it up
        resident = Resident(info, backend, self.engine(backend, info, self._observer(model_id)))
        resident.loading = asyncio.create_task(self._load(resident), name=f"load {model_id}")
        resident.loading.add_done_callback(_seen)
        self._residents[model_id] = resident
        return resident

    async def _loaded(self, resident: Resident) -> None:
        task = resident.loading
        if task is None:
            raise Unavailable(f"model {resident.info.id!r} is {resident.state}")
        # The load belongs to everybody who waits for it: one who gives up must not cancel it.
        await asyncio.wait([task])
        if task.cancelled():
            raise Unavailable(f"the load of {resident.info.id!r} was cancelled", code="model_draining")
        task.result()

    async def _load(self, resident: Resident) -> None:
        began = perf_counter()
        try:
            resident.description = await resident.engine.start()
            if self.warmup:
                await self._warm_up(resident)
        except Exception as error:  # whatever a load ends in, nobody may wait for this model for ever
            await self._fail(resident, error)
            raise
        if resident.state is ModelState.LOADING:
            resident.state = ModelState.READY
        resident.loaded_at = time()
        self._announce(resident, perf_counter() - began)

    async def _fail(self, resident: Resident, error: Exception) -> None:
        """Free the engine, then say why; a model whose loads keep killing its worker is left alone."""
        model_id = resident.info.id
        await resident.engine.stop(self.stop_grace_s)
        resident.reason = (error.detail if isinstance(error, LmxError) else None) or str(error)
        resident.state = ModelState.FAILED
        deaths = self._deaths.setdefault(model_id, self.new_deaths())
        if isinstance(error, EngineFailed):
            deaths.record()
        if deaths.too_many:
            resident.state = ModelState.QUARANTINED
        bug = None if isinstance(error, LmxError) else error
        self.log.error("model_failed", model=model_id, state=resident.state, reason=resident.reason, exc_info=bug)

    def _announce(self, resident: Resident, took_s: float) -> None:
        model_id, description = resident.info.id, resident.description
        memory_bytes = description.memory_bytes if description else 0
        self.events.publish(
            "model_loaded",
            {
                "model_id": model_id,
                "format": resident.info.format,
                "memory_gb": round(memory_bytes / 1e9, 3),
                "duration_sec": round(took_s, 3),
            },
        )
        self.log.info(
            "model_ready",
            model=model_id,
            backend=resident.backend.spec.name,
            context_length=description.context_length if description else None,
            memory_bytes=memory_bytes,
            load_s=round(took_s, 3),
        )

    async def _warm_up(self, resident: Resident) -> None:
        """One short generation, so that the first request does not pay for compilation."""
        chat = Capability.CHAT in resident.capabilities
        request = GenerationRequest(
            model=resident.info.id,
            messages=[Message(role="user", content="Hi")] if chat else None,
            prompts=() if chat else ("Hi",),
            max_tokens=2,
            sampling=Sampling(temperature=0.0),
            request_id=f"warm-up {resident.info.id}",
        )
        try:
            async for _ in resident.engine.generate(request):
                continue
        except EngineFailed:
            raise
        except LmxError as error:
            # A template that wants more than one message, say: the model may serve real requests all the same.
            self.log.warning("warm_up_failed", model=resident.info.id, reason=error.detail or error.message)

    async def _unload(self, resident: Resident) -> int:
        model_id = resident.info.id
        if not await resident.drain(self.drain_s):
            self.log.warning("unload_cuts_requests", model=model_id, in_flight=resident.in_flight)
        freed = resident.description.memory_bytes if resident.description else 0
        await self._stop(resident, self.stop_grace_s)
        self._deaths.pop(model_id, None)
        self.events.publish("model_unloaded", {"model_id": model_id, "memory_freed_gb": round(freed / 1e9, 3)})
        self.log.info("model_unloaded", model=model_id, freed_bytes=freed)
        return freed

    async def _stop(self, resident: Resident, grace_s: float | None) -> None:
        if resident.loading is not None and not resident.loading.done():
            resident.loading.cancel()
            await asyncio.wait([resident.loading])
        await resident.engine.stop(self.stop_grace_s if grace_s is None else grace_s)
        if self._residents.get(resident.info.id) is resident:
            del self._residents[resident.info.id]

    async def _refuse_unloaded(self, model_id: str) -> None:
        await self.catalogue.find(model_id)
        raise ModelNotFound(
            f"model {model_id!r} is not loaded and models.jit_load is off; load it with `lmx models load {model_id}`",
            param="model",
        )

    def _observer(self, model_id: str) -> OnChange:
        def changed(state: EngineState, reason: str) -> None:
            resident = self._residents.get(model_id)
            if resident is None or resident.state in {ModelState.DRAINING, ModelState.FAILED}:
                return
            resident.reason = None if state is EngineState.READY else reason
            if state is EngineState.QUARANTINED:
                resident.state = ModelState.QUARANTINED
                self.log.error("model_quarantined", model=model_id, reason=reason)
            elif resident.state is ModelState.READY:
                self.log.info("worker_state", model=model_id, state=state, reason=reason)
            self.events.publish("model_state", {"model_id": model_id, "state": state, "reason": reason})

        return changed

    def _on_disk(self, info: ModelInfo) -> ModelStatus:
        try:
            backend = self.catalogue.backend_for(info).spec
        except Unavailable as error:
            return ModelStatus(info=info, state=ModelState.NO_ENGINE, reason=error.message)
        return ModelStatus(
            info=info,
            state=ModelState.ON_DISK,
            backend=backend.name,
            context_length=info.context_length,
            capabilities=backend.capabilities,
        )


def _seen(task: "asyncio.Task[None]") -> None:
    """Its failure is in the log and in the resident's state; asyncio need not report it again."""
    if not task.cancelled():
        task.exception()
