"""The circuit beside a reference that remembers everything instead of counting."""

import pytest
from attrs import define, field
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from lmx_breaker.circuit import TOGETHER_S, Circuit, Permit, State
from lmx_hookspecs import Outcome

OK, FAULT, CLIENT_ERROR, CANCELLED = Outcome
NEUTRAL = [CLIENT_ERROR, CANCELLED]


@define
class Bench:
    """A circuit, its clock, and the states that it went through."""

    circuit: Circuit = field(init=False)
    now_s: float = 100.0
    states: list[State] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.circuit = Circuit(3, 60.0, lambda circuit: self.states.append(circuit.state))

    def admit(self) -> Permit | None:
        return self.circuit.admit(self.now_s)

    def enter(self) -> Permit:
        permit = self.admit()
        assert permit is not None
        return permit

    def settle(self, permit: Permit, outcome: Outcome) -> None:
        self.circuit.settle(permit, outcome, self.now_s)

    def calls(self, *outcomes: Outcome) -> None:
        for outcome in outcomes:
            self.settle(self.enter(), outcome)

    def opened(self) -> "Bench":
        self.calls(FAULT, FAULT, FAULT)
        return self

    def half_open(self) -> "Bench":
        self.opened().now_s += 60.0
        return self


def test_it_opens_with_the_third_failure_in_a_row() -> None:
    bench = Bench()

    bench.calls(FAULT, FAULT, OK, FAULT, FAULT)
    before = bench.circuit.state
    bench.calls(FAULT)

    assert (before, bench.circuit.state, bench.circuit.failures) == (State.CLOSED, State.OPEN, 3)


@pytest.mark.parametrize("outcome", NEUTRAL)
def test_what_the_client_did_wrong_or_gave_up_neither_counts_nor_resets(outcome: Outcome) -> None:
    bench = Bench()

    bench.calls(FAULT, outcome, FAULT, outcome)
    between = bench.circuit.failures
    bench.calls(FAULT)

    assert (between, bench.circuit.state) == (2, State.OPEN)


def test_an_open_circuit_refuses_until_its_time_is_up_and_says_when_that_is() -> None:
    bench = Bench().opened()
    bench.now_s += 59.0

    assert bench.admit() is None
    assert bench.circuit.reset_in_s(bench.now_s) == 1.0


def test_half_open_it_lets_exactly_one_probe_in() -> None:
    bench = Bench().half_open()

    permits = [bench.admit() for _ in range(5)]

    assert [permit is not None for permit in permits] == [True, False, False, False, False]
    assert bench.circuit.state is State.HALF_OPEN


def test_a_probe_that_works_closes_it() -> None:
    bench = Bench().half_open()

    bench.calls(OK, OK, OK)

    assert bench.states == [State.OPEN, State.HALF_OPEN, State.CLOSED]
    assert bench.circuit.failures == 0


def test_a_probe_that_fails_opens_it_for_the_whole_time_again() -> None:
    bench = Bench().half_open()

    bench.calls(FAULT)

    assert bench.states == [State.OPEN, State.HALF_OPEN, State.OPEN]
    assert bench.circuit.reset_in_s(bench.now_s) == 60.0


@pytest.mark.parametrize("outcome", NEUTRAL)
def test_a_probe_that_says_nothing_leaves_it_to_the_next_call(outcome: Outcome) -> None:
    bench = Bench().half_open()

    bench.calls(outcome)
    probe, other = bench.admit(), bench.admit()

    assert bench.circuit.state is State.HALF_OPEN
    assert probe is not None
    assert other is None


def test_calls_that_failed_side_by_side_are_one_failure() -> None:
    bench = Bench()
    together = [bench.enter() for _ in range(30)]

    for permit in together:
        bench.settle(permit, FAULT)

    assert (bench.circuit.state, bench.circuit.failures) == (State.CLOSED, 1)


def test_calls_that_overlap_and_fail_one_after_the_other_are_a_failure_each() -> None:
    bench = Bench()
    together = [bench.enter() for _ in range(3)]

    for permit in together:
        bench.settle(permit, FAULT)
        bench.now_s += 100.0

    assert bench.circuit.state is State.OPEN


def test_calls_that_begin_after_a_failure_count_however_soon_they_fail() -> None:
    bench = Bench()

    bench.calls(FAULT, FAULT, FAULT)

    assert bench.circuit.state is State.OPEN


def test_a_long_call_that_works_in_the_end_ends_the_row() -> None:
    bench = Bench()
    long = bench.enter()

    bench.calls(FAULT, FAULT)
    bench.settle(long, OK)

    assert bench.circuit.failures == 0


def test_calls_from_before_it_opened_say_nothing_to_the_probe() -> None:
    bench = Bench()
    early = [bench.enter(), bench.enter()]
    bench.half_open()
    probe = bench.enter()

    bench.settle(early[0], OK)
    bench.settle(early[1], FAULT)
    between = bench.circuit.state
    second = bench.admit()
    bench.settle(probe, OK)

    assert (between, second, bench.circuit.state) == (State.HALF_OPEN, None, State.CLOSED)


def test_a_lower_threshold_counts_with_the_next_failure() -> None:
    bench = Bench()
    bench.calls(FAULT)

    bench.circuit.failure_threshold = 2
    bench.calls(FAULT)

    assert bench.circuit.state is State.OPEN


def test_it_is_idle_when_closed_without_failures_and_calls() -> None:
    bench = Bench()
    at_first = bench.circuit.idle
    permit = bench.enter()
    during = bench.circuit.idle
    bench.settle(permit, FAULT)

    assert (at_first, during, bench.circuit.idle) == (True, False, False)


@define(eq=False)
class Started:
    """A call, and what had happened when it began."""

    permit: Permit
    changes: int
    faults: int


class CircuitMachine(RuleBasedStateMachine):
    """Any calls in any order at any time: the state follows from the list of what counted."""

    calls = Bundle("calls")

    @initialize(threshold=st.integers(1, 4), reset_after_s=st.integers(1, 20))
    def set_up(self, threshold: int, reset_after_s: int) -> None:
        self.now_s, self.threshold, self.reset_after_s = 0.0, threshold, float(reset_after_s)
        self.circuit = Circuit(threshold, self.reset_after_s, lambda _: None)
        self.open_since_s: float | None = None
        self.changes = 0
        self.faults: list[float] = []
        self.in_a_row = 0
        self.probe: Started | None = None
        self.half_open = False

    @rule(seconds=st.integers(0, 15))
    def wait(self, seconds: int) -> None:
        self.now_s += seconds
        self.circuit.advance(self.now_s)
        self._reference_time()

    @rule(target=calls)
    def call(self) -> object:
        expected = self.open_since_s is None and (not self.half_open or self.probe is None)

        permit = self.circuit.admit(self.now_s)

        assert (permit is not None) == expected
        if permit is None:
            return multiple()
        started = Started(permit, self.changes, len(self.faults))
        if self.half_open:
            self.probe = started
        return started

    @rule(started=consumes(calls), outcome=st.sampled_from(list(Outcome)))
    def end(self, started: Started, outcome: Outcome) -> None:
        self.circuit.settle(started.permit, outcome, self.now_s)

        if started.changes != self.changes:
            return
        if started is self.probe:
            self.probe = None
        began_before_the_last = started.faults < len(self.faults)
        if outcome is FAULT and not (began_before_the_last and self.now_s - self.faults[-1] <= TOGETHER_S):
            self.faults.append(self.now_s)
            self.in_a_row += 1
            if self.half_open or self.in_a_row >= self.threshold:
                self.half_open, self.open_since_s = False, self.now_s
                self.changes += 1
        elif outcome is OK:
            self.in_a_row = 0
            if self.half_open:
                self.half_open = False
                self.changes += 1

    @invariant()
    def the_state_is_that_of_the_reference(self) -> None:
        if not hasattr(self, "circuit"):
            return
        is_open = self.open_since_s is not None
        expected = State.OPEN if is_open else State.HALF_OPEN if self.half_open else State.CLOSED
        assert (self.circuit.state, self.circuit.failures) == (expected, self.in_a_row)

    def _reference_time(self) -> None:
        if self.open_since_s is not None and self.now_s - self.open_since_s >= self.reset_after_s:
            self.open_since_s, self.half_open = None, True
            self.changes += 1


TestCircuitMachine = CircuitMachine.TestCase
