"""How much all residents together may hold, as the configuration says now."""

from collections.abc import Callable, Mapping

from attrs import field, frozen

from lmx.config.schema import Memory, Models
from lmx.models.estimate import GB
from lmx.models.ledger import Claim, Ledger
from lmx.models.machine import Machine
from lmx.models.resident import Resident
from lmx_hookspecs import Holding, MemoryReport


@frozen(kw_only=True)
class Budget:
    """`models.memory_budget_gb`, else `memory.max_memory_percent` of the machine."""

    models: Callable[[], Models]
    memory: Callable[[], Memory]
    machine: Machine = field(factory=Machine)

    def total_bytes(self) -> int:
        """The budget in bytes."""
        stated_bytes = self._stated_bytes()
        return self.machine.budget_bytes(self.memory().max_memory_percent) if stated_bytes is None else stated_bytes

    def available_bytes(self) -> int | None:
        """What the system could hand out now; None where the budget is stated: then it alone counts."""
        return self.machine.available_bytes() if self._stated_bytes() is None else None

    def _stated_bytes(self) -> int | None:
        stated_gb = self.models().memory_budget_gb
        return None if stated_gb is None else int(stated_gb * GB)


def report(budget: Budget, ledger: Ledger, residents: Mapping[str, Resident]) -> MemoryReport:
    """The machine, the budget, and who holds what of it."""
    return MemoryReport(
        total_bytes=budget.machine.total_bytes(),
        available_bytes=budget.machine.available_bytes(),
        budget_bytes=budget.total_bytes(),
        held_bytes=ledger.held_bytes,
        holdings=[_holding(claim, residents) for claim in ledger.claims()],
    )


def _holding(claim: Claim, residents: Mapping[str, Resident]) -> Holding:
    resident = residents.get(claim.name) if claim.kind == "model" else None
    return Holding(
        name=claim.name,
        kind=claim.kind,
        reserved_bytes=claim.reserved_bytes,
        measured_bytes=claim.measured_bytes,
        pinned=bool(resident and resident.pinned),
        idle_s=resident.idle_s if resident else None,
    )
