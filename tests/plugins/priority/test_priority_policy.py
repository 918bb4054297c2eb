from hypothesis import given
from hypothesis import strategies as st

from lmx_hookspecs.errors import Busy
from lmx_priority.config import PriorityConfig
from lmx_priority.place import Standing
from priority_support import Desk, memory


def test_requests_run_at_once_while_the_limit_allows_it() -> None:
    desk = Desk(limit=2)

    for name in "abc":
        desk.enter(name)

    assert desk.running() == ["a", "b"]
    assert desk.policy.waiting == 1


def test_the_higher_class_is_let_in_first_and_nobody_exceeds_the_limit() -> None:
    desk = Desk()
    desk.enter("running")
    for name in ("low", "normal", "high"):
        desk.enter(name, priority=name)
    assert desk.running() == ["running"]

    order = desk.run_dry()

    assert order == ["running", "high", "normal", "low"]


def test_one_who_waits_moves_up_a_class_at_a_time() -> None:
    desk = Desk(PriorityConfig(ageing_s=5))
    desk.enter("running")
    desk.enter("low", priority="low")

    levels = [desk.places["low"].level]
    for seconds in (4.9, 0.1, 5.0, 60.0):
        desk.pass_time(seconds)
        levels.append(desk.places["low"].level)

    assert levels == [2, 2, 1, 0, 0]


def test_one_who_has_aged_goes_before_those_of_the_high_class_who_come_later() -> None:
    desk = Desk(PriorityConfig(ageing_s=5))
    desk.enter("running")
    desk.enter("low", key="a", priority="low")
    desk.pass_time(10)
    for name in ("first", "second"):
        desk.enter(name, key="b", priority="high")

    order = desk.run_dry()

    assert order == ["running", "low", "first", "second"]


def test_two_steps_are_taken_at_once_when_nobody_looked_in_between() -> None:
    desk = Desk(PriorityConfig(ageing_s=5), limit=2)
    desk.enter("running", weight=2)
    desk.enter("low", priority="low")

    desk.pass_time(100)

    assert desk.places["low"].level == 0


def test_a_key_that_floods_the_queue_gets_no_more_than_its_share() -> None:
    desk = Desk()
    for number in range(6):
        desk.enter(f"flood {number}", key="flood")
    desk.enter("other 0", key="other")
    desk.enter("other 1", key="other")

    order = desk.run_dry()

    assert order[:5] == ["flood 0", "flood 1", "other 0", "flood 2", "other 1"]


def test_a_key_runs_no_more_rows_than_its_limit_over_all_models() -> None:
    desk = Desk(PriorityConfig(key_limit=3), limit=8)
    desk.enter("a", key="k", weight=2)
    desk.enter("b", key="k", model="other", weight=2)
    desk.enter("c", key="k", model="third")
    desk.enter("d", key="another", model="other", weight=8)

    assert desk.running() == ["a", "c", "d"]

    desk.leave("a", "d")
    assert desk.running() == ["b", "c"]


def test_a_key_at_its_limit_takes_turns_between_the_models_it_waits_for() -> None:
    desk = Desk(PriorityConfig(key_limit=1), limit=8)
    for number in range(4):
        desk.enter(f"x{number}", key="k", model="x")
    for number in range(2):
        desk.enter(f"y{number}", key="k", model="y")

    assert desk.run_dry() == ["x0", "y0", "x1", "y1", "x2", "x3"]


def test_a_request_heavier_than_the_limits_runs_alone() -> None:
    desk = Desk(PriorityConfig(key_limit=2), limit=4)
    desk.enter("before", key="k")
    desk.enter("giant", key="k", weight=9)
    desk.enter("after", key="k", weight=2)
    assert desk.running() == ["before"]

    desk.leave("before")
    assert desk.running() == ["giant"]

    desk.leave("giant")
    assert desk.running() == ["after"]


def test_light_requests_use_the_room_beside_a_heavy_one_but_pass_it_by_one_limit_of_rows_only() -> None:
    desk = Desk(limit=4)
    desk.enter("long")
    desk.enter("heavy", key="a", weight=4)
    for number in range(12):
        desk.enter(f"light {number}", key="b")
    while desk.places["heavy"].standing is Standing.WAITING and len(desk.running()) > 1:
        desk.leave(desk.running()[-1])

    assert desk.running() == ["long"]
    assert desk.places["heavy"].passed_rows == 4

    desk.leave("long")
    assert desk.running() == ["heavy"]


def test_light_requests_of_a_key_pass_its_heavy_one_by_one_limit_of_rows_only() -> None:
    desk = Desk(PriorityConfig(key_limit=4), limit=32)
    desk.enter("long", key="k", weight=2)
    desk.enter("heavy", key="k", weight=3)
    for number in range(12):
        desk.enter(f"light {number}", key="k", model="other")
    while len(desk.running()) > 1:
        desk.leave(desk.running()[-1])

    assert desk.running() == ["long"]
    assert desk.places["heavy"].key_passed_rows == 4

    desk.leave("long")
    assert desk.running() == ["heavy", "light 4"]


def test_the_heavy_request_of_a_key_keeps_no_higher_class_and_no_other_key_waiting() -> None:
    desk = Desk(PriorityConfig(key_limit=4), limit=32)
    desk.enter("long", key="k", weight=2)
    desk.enter("heavy", key="k", weight=3)
    for number in range(6):
        desk.enter(f"light {number}", key="k", model="other")
    desk.leave("light 0", "light 1", "light 2", "light 3")

    desk.enter("urgent", key="k", model="other", priority="high")
    desk.enter("stranger", key="other")

    assert desk.running() == ["long", "urgent", "stranger"]


def test_a_heavy_request_that_gives_up_leaves_the_room_to_the_others_of_its_key() -> None:
    desk = Desk(PriorityConfig(key_limit=4), limit=32)
    desk.enter("long", key="k", weight=2)
    desk.enter("heavy", key="k", weight=3)
    for number in range(6):
        desk.enter(f"light {number}", key="k", model="other")
    desk.leave("light 0", "light 1", "light 2", "light 3")

    desk.leave("heavy")

    assert desk.running() == ["long", "light 4", "light 5"]


def test_clients_pass_the_heavy_request_of_another_client_also_where_nobody_has_a_key() -> None:
    desk = Desk(limit=4)
    desk.enter("long", client="a")
    desk.enter("heavy", client="a", weight=4)
    desk.enter("behind it", client="a")

    for number in range(12):
        desk.enter(f"light {number}", client="b")
    beside_it = desk.running()
    while len(desk.running()) > 1:
        desk.leave(desk.running()[-1])

    assert beside_it == ["long", "light 0", "light 1", "light 2"]
    assert desk.places["heavy"].passed_rows == 4
    desk.leave("long")
    assert desk.running() == ["heavy"]


def test_who_gives_up_in_the_middle_of_the_queue_is_not_let_in() -> None:
    desk = Desk()
    for name in ("running", "first", "second", "third"):
        desk.enter(name)

    desk.leave("second")

    assert desk.policy.waiting == 2
    assert desk.run_dry() == ["running", "first", "third"]


def test_a_heavy_request_that_gives_up_lets_those_behind_it_in() -> None:
    desk = Desk(limit=2)
    desk.enter("running")
    desk.enter("heavy", weight=2)
    desk.enter("light")

    desk.leave("heavy")

    assert desk.running() == ["running", "light"]


def test_leaving_twice_frees_one_place() -> None:
    desk = Desk(limit=2)
    desk.enter("a")
    desk.enter("b")

    desk.leave("a", "a")

    assert desk.policy.lines["m"].running_rows == 1
    assert desk.policy.keys.rows == {None: 1}


def test_the_time_of_a_load_is_not_taken_for_the_time_of_a_request() -> None:
    desk = Desk()
    desk.enter("loads", resident=False)
    desk.now_s += 300
    desk.leave("loads")

    desk.enter("quick")
    desk.now_s += 2
    desk.leave("quick")

    assert desk.policy.lines["m"].service.mean_s == 2.0


def test_fewer_rows_run_while_memory_is_short_and_all_of_them_once_it_is_not() -> None:
    desk = Desk(limit=8)
    desk.see(memory(90))
    for number in range(8):
        desk.enter(str(number))
    assert len(desk.running()) == 4

    desk.see(memory(99))
    desk.leave("0")
    assert len(desk.running()) == 3

    desk.see(memory(10))
    assert len(desk.running()) == 7


def test_memory_does_not_matter_when_it_is_told_not_to() -> None:
    desk = Desk(PriorityConfig(adapt_to_memory=False), limit=8)

    desk.see(memory(99))

    for number in range(8):
        desk.enter(str(number))
    assert len(desk.running()) == 8


@given(
    arrivals=st.lists(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), max_size=2), min_size=80, max_size=80)
)
def test_a_low_request_gets_in_however_many_high_ones_keep_coming(arrivals: list[list[tuple[int, int]]]) -> None:
    desk = Desk(PriorityConfig(max_queue=10, ageing_s=5))
    desk.enter("running", key="0")
    low = desk.enter("low", key="low", priority="low")

    for second, newcomers in enumerate(arrivals):
        for number, (key, client) in enumerate(newcomers):
            try:
                desk.enter(f"{second}.{number}", key=str(key), client=str(client), priority="high")
            except Busy:
                continue
        desk.now_s += 1
        desk.leave(desk.running()[0])
        if not desk.running():
            desk.enter(f"{second}", key="0")

    waited_s = low.started_s - low.arrived_s
    assert low.standing is not Standing.WAITING
    assert waited_s <= 2 * 5 + 10 + 1  # both steps up, then one turn of everybody who waits at most
