"""The circuit of one target: a state machine on plain values, without a clock or asyncio.

    closed ── failure_threshold failures in a row ──▶ open ── reset_after_s ──▶ half-open
       ▲                                               ▲                           │
       │                                               └───── the probe fails ─────┤
       └───────────────────── the probe works ─────────────────────────────────────┘

A call counts only if it began after the last thing that was learnt, which is a failure or a change of state. So one
crash of an engine that serves thirty streams is one failure, and a call that began while the circuit was closed neither
opens nor closes it later.
"""

from collections.abc import Callable
from enum import StrEnum

from attrs import define, field, frozen

from lmx_hookspecs import Outcome


class State(StrEnum):
    """Where a circuit stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@frozen(eq=False)
class Permit:
    """Leave to make one call."""

    era: int


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
    """Counts what was learnt."""
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
        return Permit(self._era)

    def settle(self, permit: Permit, outcome: Outcome, now_s: float) -> None:
        """The call has ended: what the client did wrong, or gave up, says nothing about the target."""
        self.calls -= 1
        if permit.era != self._era:
            return
        self._probing = False
        if outcome is Outcome.OK:
            self._worked()
        elif outcome is Outcome.FAULT:
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

    def _failed(self, now_s: float) -> None:
        self._era += 1
        self.failures += 1
        if self.state is State.HALF_OPEN or self.failures >= self.failure_threshold:
            self.opened_at_s = now_s
            self._become(State.OPEN)

    def _become(self, state: State) -> None:
        self._era += 1
        self.state = state
        self.changed(self)
