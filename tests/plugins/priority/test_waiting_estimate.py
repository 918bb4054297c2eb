import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx_hookspecs.errors import Busy
from lmx_priority.config import PriorityConfig
from lmx_priority.estimate import LONGEST_RETRY_S, SHORTEST_RETRY_S, TRUSTED_AFTER, ServiceTime
from priority_support import Desk


def test_the_wait_follows_from_the_rows_before_one_and_the_measured_service_time() -> None:
    service = ServiceTime()
    service.learn(10.0)

    outlook = service.outlook(position=5, waiting=5, rows_before=4, limit=2)

    assert outlook.wait_s == 20.0
    assert outlook.retry_after_s == 20.0


def test_an_estimate_is_trusted_once_enough_requests_have_ended() -> None:
    service = ServiceTime()
    trusted = []

    for _ in range(TRUSTED_AFTER):
        trusted.append(service.outlook(1, 1, 1, 1).trusted)
        service.learn(1.0)

    assert not any(trusted)
    assert service.outlook(1, 1, 1, 1).trusted


def test_before_anything_was_measured_a_retry_still_makes_sense() -> None:
    assert ServiceTime().outlook(position=6, waiting=6, rows_before=6, limit=2).retry_after_s == 3.0


@pytest.mark.parametrize(("service_s", "retry_s"), [(0.001, SHORTEST_RETRY_S), (1e6, LONGEST_RETRY_S)])
def test_nobody_is_told_to_come_back_at_once_or_next_year(service_s: float, retry_s: float) -> None:
    service = ServiceTime()
    service.learn(service_s)

    assert service.outlook(1, 1, 1, 1).retry_after_s == retry_s


@given(durations=st.lists(st.floats(min_value=0.0, max_value=1e4), min_size=1, max_size=50))
def test_the_mean_service_time_stays_within_what_was_measured(durations: list[float]) -> None:
    service = ServiceTime()

    for duration_s in durations:
        service.learn(duration_s)

    assert service.mean_s is not None
    assert min(durations) - 1e-6 <= service.mean_s <= max(durations) + 1e-6


def test_the_limit_of_its_key_lets_a_request_wait_as_the_limit_of_its_model_does() -> None:
    desk = Desk(PriorityConfig(key_limit=2), limit=32)
    desk.enter("a", key="k")
    desk.enter("b", key="k", model="other")
    for number in range(7):
        desk.enter(f"waits {number}", key="k", model="other" if number % 2 else "m")
    desk.policy.lines["m"].service.learn(10.0)

    waits_s = [desk.policy.outlook(desk.places[f"waits {number}"]).wait_s for number in (0, 6)]

    assert waits_s == [5.0, 35.0]


def test_other_keys_do_not_wait_for_one_at_its_limit() -> None:
    desk = Desk(PriorityConfig(key_limit=2), limit=2)
    for number in range(9):
        desk.enter(f"greedy {number}", key="k")
    desk.enter("other", key="other")

    assert desk.policy.outlook(desk.places["other"]).wait_s == 1.0


def test_one_who_would_wait_too_long_for_its_key_is_told_so_at_once() -> None:
    desk = Desk(PriorityConfig(key_limit=1), limit=32)
    for number in range(TRUSTED_AFTER):
        desk.enter(f"measured {number}")
        desk.now_s += 10
        desk.leave(f"measured {number}")
    desk.enter("runs", key="k")

    with pytest.raises(Busy, match="try again in 10 s"):
        desk.enter("waits", patience_s=5, key="k")
