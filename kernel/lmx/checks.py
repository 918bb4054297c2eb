"""A health check with its last answer: however many ask, it runs once at a time, and not before that answer is old."""

import asyncio
from collections.abc import Callable
from time import monotonic, perf_counter

from attrs import define, evolve, field, frozen

from lmx_hookspecs import Context, Health, HealthCheck, Logger


@frozen
class PlacedCheck:
    """A check with the context of the plugin that offers it."""

    check: HealthCheck
    context: Context


@define(eq=False)
class KeptCheck:
    """Asks a check within its time limit; one that times out or raises is not ok."""

    placed: PlacedCheck
    log: Logger
    clock: Callable[[], float] = monotonic
    _answer: Health | None = field(default=None, init=False)
    _answered_s: float = field(default=0.0, init=False)
    _asking: "asyncio.Task[Health] | None" = field(default=None, init=False)
    """Belongs to everybody who waits for it: one who gives up must not cancel it."""

    @property
    def name(self) -> str:
        """The check's."""
        return self.placed.check.name

    async def answer(self) -> Health:
        """The last answer, or a new one where that is older than the check's `keep_s`."""
        if self._answer is not None and self.clock() - self._answered_s < self.placed.check.keep_s:
            return evolve(self._answer, age_s=self.clock() - self._answered_s)
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask(), name=f"health check {self.name}")
            self._asking.add_done_callback(self._asked)
        asking = self._asking
        await asyncio.wait([asking])
        return Health(ok=False, detail="the check was cut off") if asking.cancelled() else asking.result()

    async def _ask(self) -> Health:
        began = perf_counter()
        answer = await self._bounded()
        return evolve(answer, took_s=perf_counter() - began)

    async def _bounded(self) -> Health:
        check = self.placed.check
        try:
            return await asyncio.wait_for(check.check(self.placed.context), check.timeout_s)
        except TimeoutError:
            return Health(ok=False, detail=f"no answer within {check.timeout_s:g} s")
        except Exception as error:  # a check of a third party: its bug is its answer, not ours
            self.log.error("health_check_failed", check=check.name, exc_info=error)
            return Health(ok=False, detail=f"the check itself failed: {error}")

    def _asked(self, asking: "asyncio.Task[Health]") -> None:
        self._asking = None
        if not asking.cancelled():
            self._answer, self._answered_s = asking.result(), self.clock()
