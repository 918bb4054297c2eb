"""How the server is: what every plugin's checks say, how the engines are, and whether it should get traffic."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from time import monotonic

from attrs import define, field

from lmx.checks import KeptCheck, PlacedCheck
from lmx.models.lifecycle import Lifecycle
from lmx.models.resident import Resident
from lmx.routing import AUTO, Router
from lmx.state import RuntimeState
from lmx.workers.pulse import MAX_MISSED_BEATS
from lmx_hookspecs import Capability, Health, LmxError, Logger
from lmx_hookspecs.errors import ModelNotFound

__all__ = ["HealthDesk", "PlacedCheck"]

EMBEDS: frozenset[str] = frozenset({Capability.EMBED})
KEEP_S = 1.0
"""How long it is taken for granted which model would answer, while none is loaded: finding out reads the disk."""


@define(eq=False)
class HealthDesk:
    """The health service."""

    checks: Sequence[PlacedCheck]
    models: Lifecycle
    router: Router
    auto_load: Sequence[str]
    log: Logger
    state: RuntimeState = field(factory=RuntimeState)
    stopping: bool = False
    clock: Callable[[], float] = monotonic
    _kept: Sequence[KeptCheck] = field(init=False)
    _askable: Health | None = field(default=None, init=False)
    _askable_until_s: float = field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self._kept = [KeptCheck(placed, self.log, self.clock) for placed in self.checks]

    async def report(self) -> Mapping[str, Health]:
        """The kernel's own `state` and `engines`, and the answer of each check, which may be a moment old."""
        return {"state": self.state.health(), "engines": self._engines(), **await _answers(self._kept)}

    async def ready(self) -> Health:
        """Every critical check holds, and every auto-loaded model is ready; with none, one can be asked for.

        In safe mode nothing is loaded by itself: then it is enough that any model is ready.
        """
        if self.stopping:
            return Health(ok=False, detail="the server is shutting down")
        answers = await _answers([kept for kept in self._kept if kept.placed.check.critical])
        for name, answer in answers.items():
            if not answer.ok:
                return Health(ok=False, detail=f"{name}: {answer.detail}")
        return await self._able()

    async def _able(self) -> Health:
        """Whether the models are here that should be."""
        loaded = [resident for resident in self.models.loaded() if resident.ready]
        well = Health(ok=True, facts={"models_loaded": len(loaded)})
        if self.state.safe_mode:
            return well if loaded else self.state.health()
        if self.auto_load:
            missing = self._missing()
            return Health(ok=False, detail=missing) if missing else well
        unable = await self._unable(loaded)
        return unable or well

    def _missing(self) -> str:
        """What is wrong with the models that are loaded at start."""
        residents = {resident.info.id: resident for resident in self.models.loaded()}
        waiting = [model_id for model_id in self.auto_load if not _is_loaded(residents.get(model_id))]
        ill = [_trouble(residents[model_id]) for model_id in self.auto_load if model_id not in waiting]
        coming = [f"not loaded yet: {', '.join(waiting)}"] if waiting else []
        return "; ".join([*coming, *filter(None, ill)])

    def _engines(self) -> Health:
        """Whether every loaded model's engine is at work."""
        residents = [resident for resident in self.models.loaded() if _is_loaded(resident)]
        ill = [trouble for resident in residents if (trouble := _trouble(resident))]
        return Health(ok=not ill, detail="; ".join(ill) or f"{len(residents)} at work")

    async def _unable(self, loaded: Sequence[Resident]) -> Health | None:
        """Why no model can be asked for; looked up again at once when one is loaded, else after a moment."""
        if loaded or self._askable is None or self.clock() >= self._askable_until_s:
            self._askable = await self._ask_for_any()
            self._askable_until_s = self.clock() + KEEP_S
        return None if self._askable.ok else self._askable

    async def _ask_for_any(self) -> Health:
        try:
            target = await self._any_model()
            outlook = await self.models.outlook(target)
        except LmxError as error:
            return Health(ok=False, detail=error.message)
        if not outlook.ready and not self.models.jit_load:
            return Health(ok=False, detail="no model is loaded, and models.jit_load is off; load one")
        return Health(ok=True)

    async def _any_model(self) -> str:
        """What `auto` is, or else what it would be for embeddings; raises ModelNotFound."""
        try:
            (target,) = await self.router.resolve(AUTO)
        except ModelNotFound:
            with suppress(LmxError):
                (target,) = await self.router.resolve(AUTO, EMBEDS)
                return target
            raise
        return target


async def _answers(checks: Sequence[KeptCheck]) -> Mapping[str, Health]:
    answers = await asyncio.gather(*(kept.answer() for kept in checks))
    return {kept.name: answer for kept, answer in zip(checks, answers, strict=True)}


def _is_loaded(resident: Resident | None) -> bool:
    return resident is not None and (resident.ready or resident.restarting)


def _trouble(resident: Resident) -> str | None:
    """What is wrong with a loaded model's engine."""
    model_id = resident.info.id
    if resident.restarting:
        return f"the worker of {model_id} is being replaced: {resident.reason}"
    missed = resident.engine.describe().get("missed_beats", 0)
    if missed >= MAX_MISSED_BEATS:
        return f"the worker of {model_id} is silent: {missed} beats missed"
    return None
