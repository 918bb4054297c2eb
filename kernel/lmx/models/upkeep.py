"""Keeps the ledger true while models run: what they measure grows with their KV caches."""

import asyncio
from collections.abc import Callable, Sequence

from attrs import define, field

from lmx.models.estimate import GB
from lmx.models.ledger import Ledger
from lmx.models.resident import Resident
from lmx_hookspecs import EventsService, Logger
from lmx_hookspecs.errors import LmxError

WARN_PERCENT = 95
STATS_LIMIT_S = 10.0


@define(eq=False)
class Upkeep:
    """Asks the engines at every interval, and warns before the budget is used up."""

    ledger: Ledger
    residents: Callable[[], Sequence[Resident]]
    interval_s: Callable[[], float]
    events: EventsService
    log: Logger
    stats_limit_s: float = STATS_LIMIT_S
    _warned: bool = field(default=False, init=False)
    _wanted: asyncio.Event = field(factory=asyncio.Event, init=False)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                async with asyncio.timeout(self.interval_s()):
                    await self._wanted.wait()
            except TimeoutError:
                pass  # nobody was in a hurry
            self._wanted.clear()
            await self.measure()

    def hurry(self) -> None:
        """Look at once: what engines can do may have changed."""
        self._wanted.set()

    async def measure(self) -> None:
        """One look at every model that runs."""
        await asyncio.gather(*(self._measure(resident) for resident in self.residents() if resident.ready))
        self.check()

    def check(self) -> None:
        """Warn once when more than 95 % of the budget is held, and again only after it was less."""
        budget_bytes, held_bytes = self.ledger.budget_bytes(), self.ledger.held_bytes
        above = held_bytes * 100 > budget_bytes * WARN_PERCENT
        if above and not self._warned:
            percent = round(100 * held_bytes / budget_bytes, 1)
            held_gb, budget_gb = round(held_bytes / GB, 3), round(budget_bytes / GB, 3)
            self.events.publish(
                "memory_warning", {"usage_percent": percent, "held_gb": held_gb, "budget_gb": budget_gb}
            )
            self.log.warning("memory_warning", usage_percent=percent, held_gb=held_gb, budget_gb=budget_gb)
        self._warned = above

    async def _measure(self, resident: Resident) -> None:
        try:
            async with asyncio.timeout(self.stats_limit_s):
                description = await resident.engine.stats()
        except TimeoutError:
            self.log.info("engine_not_measured", model=resident.info.id, reason=f"busy for {self.stats_limit_s:g} s")
        except LmxError as error:  # its worker is being replaced, say
            self.log.info("engine_not_measured", model=resident.info.id, reason=error.message)
        except Exception as error:  # an engine's bug must not end the upkeep of the others
            self.log.error("engine_not_measured", model=resident.info.id, exc_info=error)
        else:
            resident.measured(description)
