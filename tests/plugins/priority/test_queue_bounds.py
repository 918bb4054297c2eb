import pytest

from lmx_hookspecs.errors import Busy
from lmx_priority.config import PriorityConfig
from lmx_priority.estimate import TRUSTED_AFTER
from lmx_priority.place import Standing
from priority_support import Desk


def test_a_full_queue_turns_the_next_one_away_and_tells_it_where_it_would_have_stood() -> None:
    desk = Desk(PriorityConfig(max_queue=2))
    for name in "abc":
        desk.enter(name)

    with pytest.raises(
        Busy, match="the 2 places of its queue are taken; this request would be number 3 of 3"
    ) as refusal:
        desk.enter("d")

    assert refusal.value.retry_after_s == 3.0
    assert desk.policy.waiting == 2


def test_a_queue_of_length_zero_still_lets_requests_run() -> None:
    desk = Desk(PriorityConfig(max_queue=0))

    desk.enter("a")

    assert desk.running() == ["a"]
    with pytest.raises(Busy, match=r"model m is busy, and plugins\.priority\.max_queue is 0"):
        desk.enter("b")


def test_who_has_most_of_a_full_queue_makes_way_for_one_who_has_less() -> None:
    desk = Desk(PriorityConfig(max_queue=3))
    for number in range(3):
        desk.enter(f"flood {number}", key="flood")
    desk.enter("flood low", key="flood", priority="low")

    desk.enter("other", key="other")

    victim = desk.places["flood low"]
    assert victim.standing is Standing.GONE
    assert victim.refusal is not None
    assert "made way" in victim.refusal.message
    assert desk.policy.waiting == 3
    assert desk.run_dry() == ["flood 0", "flood 1", "other", "flood 2"]


def test_nobody_makes_way_for_one_who_has_as_much() -> None:
    desk = Desk(PriorityConfig(max_queue=2))
    desk.enter("running")
    desk.enter("a", key="a")
    desk.enter("b", key="b")

    with pytest.raises(Busy):
        desk.enter("c", key="c")

    assert desk.policy.waiting == 2


def test_one_who_would_wait_too_long_is_turned_away_at_once() -> None:
    desk = Desk()
    for number in range(TRUSTED_AFTER):
        desk.enter(str(number))
        desk.now_s += 10
        desk.leave(str(number))
    desk.enter("running")
    desk.enter("waiting", patience_s=30)

    with pytest.raises(Busy, match="number 2 of 2 that wait, with about 20 s to go, and may wait 15 s") as refusal:
        desk.enter("refused", patience_s=15)

    assert refusal.value.retry_after_s == pytest.approx(20.0)
    assert desk.policy.waiting == 1


def test_nobody_is_turned_away_because_of_a_single_slow_request() -> None:
    desk = Desk()
    desk.enter("slow")
    desk.now_s += 1000
    desk.leave("slow")
    desk.enter("running")

    place = desk.enter("waiting", patience_s=15)

    assert place.standing is Standing.WAITING
