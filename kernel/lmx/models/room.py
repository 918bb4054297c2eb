"""Makes room for what is to be loaded: idle models go, least recently used first, or the load is refused."""

import asyncio
from collections.abc import Callable, Sequence
from math import inf

from attrs import define, field

from lmx.models.estimate import Estimate, gb
from lmx.models.ledger import Claim, Ledger
from lmx.models.resident import Resident
from lmx_hookspecs import ModelState
from lmx_hookspecs.errors import InsufficientMemory


@define(eq=False)
class Room:
    """One load at a time makes room; no lock is held while an engine loads, nor while another load is awaited."""

    ledger: Ledger
    residents: Callable[[], Sequence[Resident]]
    evict: Callable[[Resident, str], "asyncio.Task[int]"]
    """Begins to unload an idle model for the sake of the model of that id, or of a store."""
    may_evict: Callable[[], bool]
    """`memory.auto_evict_lru`."""
    _one_at_a_time: asyncio.Lock = field(factory=asyncio.Lock, init=False)

    async def reserve(self, wanted: Resident, estimate: Estimate) -> Claim:
        """Set the estimate aside, evicting where that helps; raises InsufficientMemory with the arithmetic."""
        while True:
            async with self._one_at_a_time:
                claim = await self._reserve_by_evicting(wanted, estimate)
            if claim is not None:
                return claim
            # Loads on the way in have taken an unknown part of what is set aside for them: see what they leave.
            await asyncio.wait(self._loads(), return_when=asyncio.FIRST_COMPLETED)

    async def settle(self, wanted: Resident, claim: Claim, estimate: Estimate, measured_bytes: int) -> None:
        """Enter what a loaded model really took, evicting others if it is too much; raises InsufficientMemory."""
        before = claim.held_bytes
        claim.settle(measured_bytes, estimate.settled_bytes(measured_bytes))
        if claim.held_bytes <= before or self.ledger.over_bytes == 0:
            return
        async with self._one_at_a_time:
            while over_bytes := self.ledger.over_bytes:
                if not await self._free(wanted.info.id, over_bytes, wanted.asked_s):
                    raise InsufficientMemory(self._too_large(wanted, claim))

    async def _reserve_by_evicting(self, wanted: Resident, estimate: Estimate) -> Claim | None:
        """None when it may fit once the loads in progress are through."""
        while (claim := self.ledger.reserve(wanted.info.id, estimate.total_bytes)) is None:
            if await self._free(wanted.info.id, self.ledger.shortage_bytes(estimate.total_bytes), wanted.asked_s):
                continue
            if self._loads() and self.ledger.budget_left_bytes() >= estimate.total_bytes:
                return None
            raise InsufficientMemory(self._no_room(wanted, estimate))
        return claim

    async def relieve(self, name: str) -> None:
        """Have idle models go for what is here already and has grown, where all of them together are enough."""
        async with self._one_at_a_time:
            while over_bytes := self.ledger.over_bytes:
                if not await self._free(name, over_bytes, inf):
                    return

    async def _free(self, name: str, shortage_bytes: int, asked_s: float) -> bool:
        """Wait for one resident to go; False, with nobody evicted, where not even all that can go would be enough."""
        leaving = [resident for resident in self.residents() if resident.unloading and resident.claim]
        idle = self._evictable(asked_s) if self.may_evict() else []
        if sum(resident.held_bytes for resident in (*leaving, *idle)) < shortage_bytes:
            return False
        going = leaving[0].unloading if leaving else self.evict(idle[0], name)
        if going is not None:
            await asyncio.wait([going])
        return True

    def _evictable(self, asked_s: float) -> list[Resident]:
        """What was loaded or used after a load was asked for has won the race for the space."""
        idle = [one for one in self.residents() if one.evictable and one.touched_s <= asked_s]
        return sorted(idle, key=lambda resident: resident.touched_s)

    def _loads(self) -> list["asyncio.Task[None]"]:
        """Loads that have their memory set aside."""
        return [
            resident.loading
            for resident in self.residents()
            if resident.state is ModelState.LOADING and resident.claim and resident.loading
        ]

    def _no_room(self, wanted: Resident, estimate: Estimate) -> str:
        ledger = self.ledger
        machine_left = ledger.machine_left_bytes()
        on_machine = "" if machine_left is None else f", and the system has {gb(max(0, machine_left))} to give"
        return (
            f"model {wanted.info.id!r} needs {estimate} and {gb(max(0, ledger.free_bytes()))} are free: "
            f"{gb(ledger.held_bytes)} of the budget of {gb(ledger.budget_bytes())} are held{on_machine}; "
            f"{self._advice(wanted, ledger.shortage_bytes(estimate.total_bytes))}"
        )

    def _too_large(self, wanted: Resident, claim: Claim) -> str:
        ledger = self.ledger
        return (
            f"model {wanted.info.id!r} took {gb(claim.measured_bytes or 0)}, {gb(claim.held_bytes)} with KV caches, "
            f"and was unloaded again: with it {gb(ledger.held_bytes)} of the budget of {gb(ledger.budget_bytes())} "
            f"were held; {self._advice(wanted, ledger.over_bytes)}"
        )

    def _advice(self, wanted: Resident, shortage_bytes: int) -> str:
        """What could be unloaded, and what keeps the rest."""
        idle = self._evictable(wanted.asked_s)
        names = ", ".join(_named(resident) for resident in idle)
        raise_it = "raise models.memory_budget_gb if the machine has more"
        if idle and sum(resident.held_bytes for resident in idle) >= shortage_bytes:
            return f"unload {names}, or {raise_it}"
        others = [one for one in self.residents() if one.claim and one is not wanted and one not in idle]
        kept = [f"{_named(one)} {_keeper(one)}" for one in others]
        facts = [f"unloading {names} would not be enough"] if idle else []
        return "; ".join([*facts, *kept, raise_it])


def _named(resident: Resident) -> str:
    return f"{resident.info.id} ({gb(resident.held_bytes)})"


def _keeper(resident: Resident) -> str:
    if resident.state is not ModelState.READY:
        return f"is {resident.state}"
    if resident.pinned:
        return "is pinned"
    return "is in use" if resident.idle_s is None else "was used just now"
