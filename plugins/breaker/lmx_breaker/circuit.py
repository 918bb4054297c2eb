"""The circuit of one target: a state machine on plain values, without a clock or asyncio.

    closed ── failure_threshold failures in a row ──▶ open ── reset_after_s ──▶ half-open
       ▲                                               ▲                           │
       │                                               └───── the probe fails ─────┤
       └───────────────────── the probe works ─────────────────────────────────────┘

Calls that ran side by side and fail within a moment of each other are one failure: an engine that crashes under thirty
streams has crashed once. Those that fail later count, however early they began: each was left without an answer.
A call that began before a change of state neither opens nor closes the circuit after it.
"""

from collections.abc import Callable
from enum import StrEnum

from attrs import define, field, frozen

from lmx_hookspecs import Outcome

TOGETHER_S = 1.0
"""What fails no longer after a failure, and began before it, failed of the same thing."""


class State(StrEnum):
    """Where a circuit stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@frozen(eq=False)
class Permit:
    """Leave to make one call."""

    era: int
    """Counts the changes of state."""
    faults: int
    """Failures of that era before it."""


@define(eq=False)
class Circuit:
    """Closed: calls pass. Open: none does. Half-open: one does, the probe, and decides."""

    failure_threshold: int
    reset_after_s: float
    changed: Callable[["Circuit"], None]
    """Told of every change of state."""
    state: State = field(default=State.CLOSED, init=False)
    failures: int = field(default=0, init=False)
    """In a row."""
    opened_at_s: float | None = field(default=None, init=False)
    """When it opened last."""
    calls: int = field(default=0, init=False)
    """Permits that are out."""
    _era: int = field(default=0, init=False)
    _faults: int = field(default=0, init=False)
    """That counted since the state changed last."""
    _failed_at_s: float = field(default=0.0, init=False)
    """When the last of them was."""
    _probing: bool = field(default=False, init=False)

    @property
    def idle(self) -> bool:
        """Whether there is nothing to remember."""
        return self.state is State.CLOSED and self.failures == 0 and self.calls == 0

    def admit(self, now_s: float) -> Permit | None:
        """Leave to call, to be settled exactly once; None is a refusal."""
        self.advance(now_s)
        if self.state is State.OPEN or self._probing:
            return None
        self._probing = self.state is State.HALF_OPEN
        self.calls += 1
        return Permit(self._era, self._faults)

    def settle(self, permit: Permit, outcome: Outcome, now_s: float) -> None:
        """The call has ended: what the client did wrong, or gave up, says nothing about the target."""
        self.calls -= 1
        if permit.era != self._era:
            return
        self._probing = False
        if outcome is Outcome.OK:
            self._worked()
        elif outcome is Outcome.FAULT and not self._is_known(permit, now_s):
            self._failed(now_s)

    def advance(self, now_s: float) -> None:
        """Let the time since the circuit opened take its effect."""
        if self.state is State.OPEN and self.reset_in_s(now_s) == 0:
            self._become(State.HALF_OPEN)

    def reset_in_s(self, now_s: float) -> float:
        """Until an open circuit lets a probe in; 0 for any other."""
        if self.state is not State.OPEN:
            return 0.0
        return max(0.0, (self.opened_at_s or 0.0) + self.reset_after_s - now_s)

    def _worked(self) -> None:
        self.failures = 0
        if self.state is State.HALF_OPEN:
            self._become(State.CLOSED)

    def _is_known(self, permit: Permit, now_s: float) -> bool:
        """Whether this failure is one that was counted already."""
        return permit.faults < self._faults and now_s - self._failed_at_s <= TOGETHER_S

    def _failed(self, now_s: float) -> None:
        self.failures += 1
        self._faults += 1
        self._failed_at_s = now_s
        if self.state is State.HALF_OPEN or self.failures >= self.failure_threshold:
            self.opened_at_s = now_s
            self._become(State.OPEN)

    def _become(self, state: State) -> None:
        self._era += 1
        self._faults = 0
        self.state = state
        self.changed(self)
