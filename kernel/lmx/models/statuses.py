"""Every model as operators see it, loaded or not."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress

from attrs import define, evolve

from lmx.models.adapters import flaw_of, flaws_of
from lmx.models.catalogue import Catalogue
from lmx.models.resident import Resident
from lmx.models.setbacks import Setbacks
from lmx.models.states import shown
from lmx_hookspecs import ModelInfo, ModelState, ModelStatus
from lmx_hookspecs.errors import ModelNotFound, Unavailable

FRESH_S = 1.0
"""How long an engine may take to say what it holds now."""


@define(eq=False)
class Statuses:
    """Residents first, then what the downloads, the setbacks and the catalogue say."""

    catalogue: Catalogue
    setbacks: Setbacks
    residents: Mapping[str, Resident]
    downloading: Callable[[], Collection[str]]
    """Ids of the models on their way here."""

    async def list(self) -> Sequence[ModelStatus]:
        """Ready ones first, then by id."""
        infos = {info.id: info for info in await self.catalogue.models()}
        self.setbacks.forget_failures_but_of(infos)
        flaws = await asyncio.to_thread(flaws_of, self.catalogue.settings)
        unloaded = {model_id: self._unloaded(info, flaws.get(model_id)) for model_id, info in infos.items()}
        loaded = {model_id: _loaded(resident, infos.get(model_id)) for model_id, resident in self.residents.items()}
        statuses = {**{model_id: _coming(model_id) for model_id in self.downloading()}, **unloaded, **loaded}
        return sorted(statuses.values(), key=lambda status: (status.state is not ModelState.READY, status.info.id))

    async def get(self, model_id: str, *, fresh: bool = False) -> ModelStatus:
        """One model; raises ModelNotFound. `fresh` has its engine measured first."""
        resident = self.residents.get(model_id)
        if resident is not None:
            await _measure(resident, fresh=fresh)
            return _loaded(resident, await self._now(model_id) if resident.info.remote else None)
        if model_id in self.downloading():
            return _coming(model_id)
        info = await self.catalogue.find(model_id)
        return self._unloaded(info, await asyncio.to_thread(flaw_of, self.catalogue.adapter(model_id)))

    async def _now(self, model_id: str) -> ModelInfo | None:
        try:
            return await self.catalogue.find(model_id)
        except ModelNotFound:  # its node has forgotten it
            return None

    def _unloaded(self, info: ModelInfo, flaw: str | None) -> ModelStatus:
        """`flaw` is why it could not be loaded."""
        if info.id in self.downloading():
            return _coming(info.id)
        try:
            backend = self.catalogue.backend_for(info).spec
        except Unavailable as error:
            return ModelStatus(info=info, state=ModelState.NO_ENGINE, reason=error.message)
        setback = self.setbacks.get(info.id)
        return ModelStatus(
            info=info,
            state=shown(self.setbacks.state(info.id), info),
            reason=setback.reason if setback else flaw or info.trouble,
            backend=backend.name,
            context_length=info.context_length,
            capabilities=self.catalogue.capabilities_of(info),
        )


async def _measure(resident: Resident, *, fresh: bool) -> None:
    """What an engine that is busy, or gone, last said has to do."""
    if fresh and resident.ready:
        with suppress(Exception):  # whatever is wrong with an engine, its model is shown
            resident.measured(await asyncio.wait_for(resident.engine.stats(), FRESH_S))


def _loaded(resident: Resident, now: ModelInfo | None) -> ModelStatus:
    """Where it runs, and how that is, may have changed since it was loaded."""
    status = resident.status()
    if now is None or not now.remote:
        return status
    return evolve(status, info=evolve(status.info, details=now.details), reason=status.reason or now.trouble)


def _coming(model_id: str) -> ModelStatus:
    """Of what is here of it so far nothing can be said."""
    return ModelStatus(info=ModelInfo(id=model_id, format="unknown"), state=ModelState.DOWNLOADING)
