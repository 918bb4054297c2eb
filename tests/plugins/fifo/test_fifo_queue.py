import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle as Places
from hypothesis.stateful import RuleBasedStateMachine, consumes, invariant, rule

from lmx_fifo.queue import Place, Queue, Standing
from lmx_hookspecs import Ticket
from lmx_hookspecs.errors import Busy


@define
class Arrivals:
    """Enters tickets and notes who was let in, in which order."""

    queue: Queue
    admitted: list[str] = field(factory=list)

    def enter(self, name: str, *, weight: int = 1, limit: int = 1, now_s: float = 0.0) -> Place:
        ticket = Ticket(model="m", resident=True, weight=weight, limit=limit)
        return self.queue.enter(ticket, now_s, lambda: self.admitted.append(name))


def test_requests_run_at_once_while_the_limit_allows_it() -> None:
    arrivals = Arrivals(Queue(max_queue=8))

    for name in "abc":
        arrivals.enter(name, limit=2)

    assert arrivals.admitted == ["a", "b"]
    assert arrivals.queue.running_rows == 2


def test_those_who_wait_come_in_in_order_of_arrival() -> None:
    arrivals = Arrivals(Queue(max_queue=8))
    first = arrivals.enter("first")
    second = arrivals.enter("second")
    arrivals.enter("third")

    arrivals.queue.leave(first, 1.0)
    arrivals.queue.leave(second, 2.0)

    assert arrivals.admitted == ["first", "second", "third"]


def test_a_light_request_does_not_overtake_a_heavy_one() -> None:
    arrivals = Arrivals(Queue(max_queue=8))
    running = arrivals.enter("running", limit=4)
    arrivals.enter("heavy", weight=4, limit=4)
    arrivals.enter("light", limit=4)

    assert arrivals.admitted == ["running"]

    arrivals.queue.leave(running, 1.0)

    assert arrivals.admitted == ["running", "heavy"]


def test_a_request_heavier_than_the_limit_runs_alone() -> None:
    arrivals = Arrivals(Queue(max_queue=8))
    before = arrivals.enter("before", limit=2)
    giant = arrivals.enter("giant", weight=5, limit=2)
    arrivals.enter("after", limit=2)

    arrivals.queue.leave(before, 1.0)
    assert arrivals.admitted == ["before", "giant"]

    arrivals.queue.leave(giant, 2.0)
    assert arrivals.admitted == ["before", "giant", "after"]


def test_a_full_queue_turns_the_next_one_away() -> None:
    arrivals = Arrivals(Queue(max_queue=1))
    arrivals.enter("running")
    arrivals.enter("waiting")

    with pytest.raises(Busy, match="1 requests for model m are waiting") as refusal:
        arrivals.enter("refused")

    assert refusal.value.retry_after_s == 1.0
    assert len(arrivals.queue.waiting) == 1


def test_a_queue_of_length_zero_still_lets_requests_run() -> None:
    arrivals = Arrivals(Queue(max_queue=0))

    arrivals.enter("running")

    assert arrivals.admitted == ["running"]
    with pytest.raises(Busy, match=r"model m is busy, and plugins\.fifo\.max_queue is 0"):
        arrivals.enter("refused")


def test_the_head_that_gives_up_lets_those_behind_it_in() -> None:
    arrivals = Arrivals(Queue(max_queue=8))
    arrivals.enter("running", limit=2)
    heavy = arrivals.enter("heavy", weight=2, limit=2)
    arrivals.enter("light", limit=2)

    arrivals.queue.leave(heavy, 1.0)

    assert arrivals.admitted == ["running", "light"]


def test_leaving_twice_frees_one_place() -> None:
    arrivals = Arrivals(Queue(max_queue=8))
    place = arrivals.enter("a", limit=2)
    arrivals.enter("b", limit=2)

    arrivals.queue.leave(place, 1.0)
    arrivals.queue.leave(place, 2.0)

    assert arrivals.queue.running_rows == 1


def test_when_to_come_back_follows_from_the_measured_service_time() -> None:
    arrivals = Arrivals(Queue(max_queue=8))
    measured = arrivals.enter("measured", limit=2, now_s=0.0)
    arrivals.queue.leave(measured, 10.0)

    for name in "abcdef":
        arrivals.enter(name, limit=2, now_s=10.0)

    assert arrivals.queue.retry_after_s() == 30.0  # six rows, two at a time, 10 s each


@given(durations=st.lists(st.floats(min_value=0.0, max_value=1e4), min_size=1, max_size=50))
def test_the_mean_service_time_stays_within_what_was_measured(durations: list[float]) -> None:
    arrivals = Arrivals(Queue(max_queue=8))

    for duration_s in durations:
        arrivals.queue.leave(arrivals.enter("a"), duration_s)

    mean_s = arrivals.queue.mean_service_s
    assert mean_s is not None
    assert min(durations) - 1e-6 <= mean_s <= max(durations) + 1e-6


class QueueMachine(RuleBasedStateMachine):
    """Arrivals and departures in any order: limits hold, nobody is passed over."""

    places = Places("places")
    limit = 4
    max_queue = 5

    def __init__(self) -> None:
        super().__init__()
        self.queue = Queue(self.max_queue)
        self.present: list[Place] = []

    @rule(target=places, weight=st.integers(1, 7))
    def arrive(self, weight: int) -> Place | None:
        was_full = len(self.queue.waiting) >= self.max_queue
        ticket = Ticket(model="m", resident=True, weight=weight, limit=self.limit)
        try:
            place = self.queue.enter(ticket, 0.0, lambda: None)
        except Busy:
            assert was_full
            return None
        self.present.append(place)
        return place

    @rule(place=consumes(places))
    def depart(self, place: Place | None) -> None:
        if place is not None:
            self.queue.leave(place, 1.0)
            self.present.remove(place)

    @invariant()
    def the_limit_holds_unless_one_runs_alone(self) -> None:
        running = [place for place in self.present if place.standing is Standing.RUNNING]
        assert self.queue.running_rows == sum(place.weight for place in running)
        assert self.queue.running_rows <= self.limit or len(running) == 1

    @invariant()
    def the_queue_is_bounded(self) -> None:
        assert len(self.queue.waiting) <= self.max_queue

    @invariant()
    def nobody_waits_without_need(self) -> None:
        if self.queue.waiting:
            head = self.queue.waiting[0]
            assert self.queue.running_rows > 0
            assert self.queue.running_rows + head.weight > self.limit

    @invariant()
    def those_who_run_came_before_those_who_wait(self) -> None:
        standings = [place.standing for place in self.present]
        assert standings == sorted(standings)  # "running" sorts before "waiting"

    def teardown(self) -> None:
        """When everybody who runs leaves in turn, everybody who waits gets in."""
        while self.present:
            running = next(place for place in self.present if place.standing is Standing.RUNNING)
            self.queue.leave(running, 1.0)
            self.present.remove(running)
        assert not self.queue.waiting
        assert self.queue.running_rows == 0


TestQueueMachine = QueueMachine.TestCase
