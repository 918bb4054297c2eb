"""Asks every plugin's health checks, each within its own time limit."""

import asyncio
from collections.abc import Mapping, Sequence

from attrs import define, field, frozen

from lmx.models.lifecycle import Lifecycle
from lmx.routing import AUTO, Router
from lmx.state import RuntimeState
from lmx_hookspecs import Context, Health, HealthCheck, LmxError, Logger


@frozen
class PlacedCheck:
    """A check with the context of the plugin that offers it."""

    check: HealthCheck
    context: Context


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

    async def report(self) -> Mapping[str, Health]:
        """The kernel's own `state`, and each check's answer; one that times out or raises is not ok."""
        answers = await asyncio.gather(*(self._ask(placed) for placed in self.checks))
        names = [placed.check.name for placed in self.checks]
        return {"state": self.state.health(), **dict(zip(names, answers, strict=True))}

    async def ready(self) -> Health:
        """Every critical check holds, and every auto-loaded model is ready; with none, one can be asked for.

        In safe mode nothing is loaded by itself: then it is enough that any model is ready.
        """
        if self.stopping:
            return Health(ok=False, detail="the server is shutting down")
        answers = await self.report()
        for placed in self.checks:
            answer = answers[placed.check.name]
            if placed.check.critical and not answer.ok:
                return Health(ok=False, detail=f"{placed.check.name}: {answer.detail}")
        if self.state.safe_mode:
            return self._by_hand()
        waiting = [model_id for model_id in self.auto_load if not self.models.is_ready(model_id)]
        if waiting:
            return Health(ok=False, detail=f"not loaded yet: {', '.join(waiting)}")
        return Health(ok=True) if self.auto_load else await self._askable()

    def _by_hand(self) -> Health:
        ready = any(self.models.is_ready(resident.info.id) for resident in self.models.loaded())
        return Health(ok=True) if ready else self.state.health()

    async def _askable(self) -> Health:
        try:
            (target,) = await self.router.resolve(AUTO)
            outlook = await self.models.outlook(target)
        except LmxError as error:
            return Health(ok=False, detail=error.message)
        if not outlook.ready and not self.models.jit_load:
            return Health(ok=False, detail="no model is loaded, and models.jit_load is off; load one")
        return Health(ok=True)

    async def _ask(self, placed: PlacedCheck) -> Health:
        try:
            return await asyncio.wait_for(placed.check.check(placed.context), placed.check.timeout_s)
        except TimeoutError:
            return Health(ok=False, detail=f"no answer within {placed.check.timeout_s:g} s")
        except Exception as error:  # a check of a third party: its bug is its answer, not ours
            self.log.error("health_check_failed", check=placed.check.name, exc_info=error)
            return Health(ok=False, detail=f"the check itself failed: {error}")
