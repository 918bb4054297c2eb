"""Arrivals, departures, time, memory and reloads in any order: what must hold whatever happens."""

from functools import partial

from hypothesis import strategies as st
from hypothesis.stateful import Bundle as Names
from hypothesis.stateful import RuleBasedStateMachine, consumes, invariant, rule

from lmx_hookspecs import Ticket
from lmx_hookspecs.errors import Busy
from lmx_hookspecs.generation import Priority
from lmx_priority.config import PriorityConfig
from lmx_priority.place import CLASSES, Place, Standing
from lmx_priority.policy import Policy
from lmx_priority.pressure import adapted
from priority_support import EVER_S, memory

LIMITS = {"a": 4, "b": 2, "c": 1}
MAX_QUEUE = 5


class PolicyMachine(RuleBasedStateMachine):
    places = Names("places")

    def __init__(self) -> None:
        super().__init__()
        self.policy = Policy(PriorityConfig(max_queue=MAX_QUEUE, key_limit=3, ageing_s=5, swap_patience_s=10))
        self.now_s = 0.0
        self.present: list[Place] = []
        self.asleep: set[Place] = set()
        self.running_before: set[Place] = set()

    @rule(
        target=places,
        model=st.sampled_from("abc"),
        weight=st.integers(1, 6),
        key=st.sampled_from(["x", "y", None]),
        client=st.sampled_from(["1", "2", None]),
        priority=st.sampled_from(CLASSES),
        resident=st.booleans(),
        fits=st.booleans(),
    )
    def arrive(
        self,
        *,
        model: str,
        weight: int,
        key: str | None,
        client: str | None,
        priority: Priority,
        resident: bool,
        fits: bool,
    ) -> Place | None:
        ticket = Ticket(
            model=model,
            resident=resident,
            fits=resident or fits,
            weight=weight,
            limit=LIMITS[model],
            key=key,
            client=client,
            priority=priority,
        )
        was_full = len(self.waiting(model)) == MAX_QUEUE
        try:
            place = self.policy.enter(ticket, self.now_s, EVER_S)
        except Busy:
            assert was_full
            return None
        if place.standing is Standing.WAITING:
            self.asleep.add(place)
            place.wake = partial(self.wake, place)
        self.present.append(place)
        return place

    @rule(place=consumes(places))
    def depart(self, place: Place | None) -> None:
        if place is not None:
            self.policy.leave(place, self.now_s)
            self.asleep.discard(place)
            self.present = [one for one in self.present if one is not place]

    @rule(seconds=st.sampled_from([0.1, 3.0, 11.0]))
    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds
        self.policy.advance(self.now_s)

    @rule(used_gb=st.sampled_from([10, 75, 90, 99]), models=st.sampled_from(["a", "ab", "bc"]))
    def measure_memory(self, used_gb: float, models: str) -> None:
        self.policy.see(memory(used_gb, models=models))
        self.policy.advance(self.now_s)

    @rule(key_limit=st.sampled_from([None, 1, 3]))
    def reconfigure(self, key_limit: int | None) -> None:
        config = PriorityConfig(max_queue=MAX_QUEUE, key_limit=key_limit, ageing_s=5, swap_patience_s=10)
        self.policy.reconfigure(config)
        self.policy.advance(self.now_s)

    def wake(self, place: Place) -> None:
        self.asleep.remove(place)  # it raises for one who was woken already, or has given up
        assert place.standing is Standing.RUNNING or place.refusal is not None

    def waiting(self, model: str) -> list[Place]:
        return [place for place in self.present if place.standing is Standing.WAITING and place.ticket.model == model]

    def running(self) -> set[Place]:
        return {place for place in self.present if place.standing is Standing.RUNNING}

    @invariant()
    def nobody_new_runs_beyond_a_limit_unless_alone(self) -> None:
        running = self.running()
        fresh, self.running_before = running - self.running_before, running
        for place in fresh:
            same_model = [one for one in running if one.ticket.model == place.ticket.model]
            rows = sum(one.weight for one in same_model)
            assert rows <= adapted(LIMITS[place.ticket.model], self.policy.pressure) or same_model == [place]
            same_key = [one for one in running if one.key == place.key]
            limit = self.policy.config.key_limit
            assert limit is None or sum(one.weight for one in same_key) <= limit or same_key == [place]

    @invariant()
    def the_books_agree_with_the_places(self) -> None:
        running = self.running()
        for model, line in self.policy.lines.items():
            here = [one for one in running if one.ticket.model == model]
            assert (line.running, line.running_rows) == (len(here), sum(one.weight for one in here))
            assert list(line.waiting) == self.waiting(model)
            assert line.waiting_rows == sum(one.weight for one in line.waiting)
            assert sum(line.waiting_in(level) for level in range(len(CLASSES))) == len(line.waiting)
        assert self.policy.waiting == sum(len(line.waiting) for line in self.policy.lines.values())
        assert sum(self.policy.keys.rows.values()) == sum(one.weight for one in running)

    @invariant()
    def the_queues_are_bounded(self) -> None:
        assert all(len(line.waiting) <= MAX_QUEUE for line in self.policy.lines.values())

    @invariant()
    def nobody_waits_while_nothing_runs(self) -> None:
        assert self.running() or not self.policy.waiting

    @invariant()
    def exactly_those_sleep_who_wait(self) -> None:
        assert self.asleep == {place for place in self.present if place.standing is Standing.WAITING}

    def teardown(self) -> None:
        """When everybody who runs leaves in turn, everybody who waits gets in."""
        self.policy.see(memory(models="abc"))
        while running := self.running():
            for place in running:
                self.now_s += 1
                self.policy.leave(place, self.now_s)
                self.present.remove(place)
        assert not self.policy.waiting
        assert not self.policy.keys.rows


class PlainMachine(RuleBasedStateMachine):
    """One model, single rows, no other bound: then as many run as possible, always."""

    places = Names("places")

    def __init__(self) -> None:
        super().__init__()
        self.policy = Policy(PriorityConfig(max_queue=50))
        self.number = 0

    @rule(target=places, key=st.sampled_from("xyz"), priority=st.sampled_from(CLASSES))
    def arrive(self, key: str, priority: Priority) -> Place:
        return self.policy.enter(Ticket(model="m", resident=True, limit=3, key=key, priority=priority), 0.0, EVER_S)

    @rule(place=consumes(places))
    def depart(self, place: Place) -> None:
        self.policy.leave(place, 0.0)

    @invariant()
    def nobody_waits_while_there_is_room(self) -> None:
        line = self.policy.lines.get("m")
        assert line is None or line.running_rows == 3 or not line.waiting


TestPolicyMachine = PolicyMachine.TestCase
TestPlainMachine = PlainMachine.TestCase
