"""Who holds how much of the memory budget: exact arithmetic, without a wait anywhere."""

from collections.abc import Callable, Sequence

from attrs import define, field


@define(eq=False)
class Claim:
    """One resident's entry, from before its load until `release`."""

    name: str
    kind: str
    reserved_bytes: int
    """What is set aside for it: its estimate until it is ready, then what it took and may still grow by."""
    _release: Callable[["Claim"], None]
    measured_bytes: int | None = field(default=None, init=False)
    """What it was last seen to take; None until it is ready."""

    @property
    def held_bytes(self) -> int:
        """What it counts with."""
        return max(self.reserved_bytes, self.measured_bytes or 0)

    @property
    def outstanding_bytes(self) -> int:
        """What it may still take from the system: all of it, as long as it has not been measured."""
        return self.held_bytes - (self.measured_bytes or 0)

    def settle(self, measured_bytes: int, reserved_bytes: int) -> None:
        """It is loaded, and took so much; so much stays set aside for it."""
        self.measured_bytes, self.reserved_bytes = measured_bytes, reserved_bytes

    def release(self) -> None:
        """It is gone; a second time changes nothing."""
        self._release(self)


@define(eq=False)
class Ledger:
    """The claims of all residents, of whatever kind, against one budget in bytes."""

    budget_bytes: Callable[[], int]
    available_bytes: Callable[[], int | None] = field(default=lambda: None)
    """What the system could hand out now; None where only the budget counts."""
    _claims: list[Claim] = field(factory=list, init=False)

    def reserve(self, name: str, size_bytes: int, kind: str = "model") -> Claim | None:
        """Set memory aside, or None where there is not enough."""
        if self.shortage_bytes(size_bytes) > 0:
            return None
        return self.enter(name, size_bytes, kind)

    def enter(self, name: str, size_bytes: int, kind: str) -> Claim:
        """Set memory aside for what is there whether it fits or not."""
        claim = Claim(name, kind, size_bytes, self._drop)
        self._claims.append(claim)
        return claim

    def claims(self) -> Sequence[Claim]:
        """The claims now, in the order in which they were made."""
        return list(self._claims)

    @property
    def held_bytes(self) -> int:
        """The sum over the claims."""
        return sum(claim.held_bytes for claim in self._claims)

    @property
    def over_bytes(self) -> int:
        """By how much more is held than the budget allows: residents grow, and an operator may lower it."""
        return max(0, self.held_bytes - self.budget_bytes())

    def shortage_bytes(self, size_bytes: int) -> int:
        """How much would have to be released before so much could be reserved; what takes nothing always fits."""
        return max(0, size_bytes - self.free_bytes()) if size_bytes else 0

    def free_bytes(self) -> int:
        """What can be reserved now; negative where more is held than there should be."""
        left = self.budget_left_bytes()
        machine_left = self.machine_left_bytes()
        return left if machine_left is None else min(left, machine_left)

    def budget_left_bytes(self) -> int:
        """What of the budget is not held."""
        return self.budget_bytes() - self.held_bytes

    def machine_left_bytes(self) -> int | None:
        """What the system could hand out beyond what residents may still take; None where that does not count."""
        available = self.available_bytes()
        return None if available is None else available - sum(claim.outstanding_bytes for claim in self._claims)

    def _drop(self, claim: Claim) -> None:
        if claim in self._claims:
            self._claims.remove(claim)
