from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx_ratelimit.bucket import Bucket, Limit

LIMITS = st.builds(Limit.of, st.integers(1, 100_000), st.floats(1, 3600))
PAUSES = st.floats(0, 600)


def bucket(per_minute: int, burst_s: float = 60.0) -> Bucket:
    return Bucket(Limit.of(per_minute, burst_s), 0.0)


def admit(state: Bucket, now_s: float) -> bool:
    """One unit, where there is a whole one."""
    if state.wait_s(now_s) > 0:
        return False
    state.take(1, now_s)
    return True


@given(LIMITS, st.lists(st.tuples(PAUSES, st.integers(1, 20)), max_size=60))
def test_within_any_time_no_more_is_admitted_than_the_burst_and_what_came_in(
    limit: Limit, arrivals: list[tuple[float, int]]
) -> None:
    state = Bucket(limit, 0.0)
    now_s, admitted = 0.0, []
    for pause_s, count in arrivals:
        now_s += pause_s
        admitted += [now_s for _ in range(count) if admit(state, now_s)]

    for first, began_s in enumerate(admitted):
        for last, ended_s in enumerate(admitted[first:], start=first):
            assert last - first + 1 <= limit.burst + limit.per_s * (ended_s - began_s) + 1e-6


@given(LIMITS, st.floats(0, 1e6), PAUSES)
def test_whoever_waits_as_long_as_told_gets_in_and_not_much_earlier(limit: Limit, used: float, pause_s: float) -> None:
    state = Bucket(limit, 0.0)
    state.take(used, pause_s)
    wait_s = state.wait_s(pause_s)

    assert state.wait_s(pause_s + wait_s) == 0
    if wait_s > 0.01:
        assert state.wait_s(pause_s + wait_s * 0.999 - 0.001) > 0


@given(LIMITS, st.floats(0, 1e6))
def test_a_debt_is_paid_back_at_the_rate_and_to_the_last_unit(limit: Limit, used: float) -> None:
    state = Bucket(limit, 0.0)
    state.take(limit.burst + used, 0.0)

    full_in_s = state.full_in_s(0.0)

    assert full_in_s * limit.per_s == pytest.approx(limit.burst + used)
    assert state.level(full_in_s / 2) == pytest.approx((limit.burst - used) / 2, abs=1e-3)
    assert state.level(full_in_s) == pytest.approx(limit.burst)


@given(LIMITS, st.lists(PAUSES, max_size=20))
def test_it_never_holds_more_than_the_burst(limit: Limit, pauses: list[float]) -> None:
    state = Bucket(limit, 0.0)
    now_s = 0.0

    for pause_s in pauses:
        now_s += pause_s
        state.take(0.5, now_s)
        assert state.level(now_s + pause_s) <= limit.burst


def test_two_a_minute_are_two_at_once_and_then_one_each_half_minute() -> None:
    state = bucket(2)

    at_once = [admit(state, 0.0) for _ in range(3)]
    waits_s = state.wait_s(0.0)
    later = [admit(state, 29.9), admit(state, 30.0), admit(state, 30.0)]

    assert at_once == [True, True, False]
    assert waits_s == 30.0
    assert later == [False, True, False]


@pytest.mark.parametrize(
    ("per_minute", "burst_s", "quota", "window_s"),
    [(60, 60.0, 60, 60), (60, 10.0, 10, 10), (1, 1.0, 1, 60), (7, 60.0, 7, 60), (90, 60.0, 90, 60), (600, 1.0, 10, 1)],
)
def test_the_quota_and_its_window_say_what_the_bucket_does(
    per_minute: int, burst_s: float, quota: int, window_s: int
) -> None:
    limit = Limit.of(per_minute, burst_s)

    assert (limit.quota, limit.window_s) == (quota, window_s)


def test_a_clock_that_goes_back_gives_and_takes_nothing() -> None:
    state = bucket(60)
    state.take(60, 100.0)

    assert state.level(50.0) == 0.0

    state.take(1, 50.0)

    assert state.level(100.0) == -1.0


def test_a_smaller_limit_keeps_what_there_is_room_for_and_a_larger_one_gives_nothing_away() -> None:
    state = bucket(60)
    state.take(20, 0.0)

    state.refit(Limit.of(10, 60), 0.0)
    smaller = state.level(0.0)
    state.take(15, 0.0)
    state.refit(Limit.of(600, 60), 0.0)

    assert smaller == 10.0
    assert state.level(0.0) == -5.0
    assert ceil(state.wait_s(0.0) * 10) == 6
