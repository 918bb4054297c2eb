import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx_shedder.config import ShedderConfig
from lmx_shedder.overload import Alarm, Overload, Reason

PERCENTS = st.floats(0, 100)


def overload(**keys: float) -> Overload:
    return Overload(ShedderConfig(**keys))


@pytest.mark.parametrize(
    ("readings", "refused"),
    [
        ([94.9], [False]),
        ([95.0], [True]),
        ([95.0, 94.9, 90.0, 89.9], [True, True, True, False]),
        ([92.0, 96.0, 92.0], [False, True, True]),
        ([96.0, 89.0, 92.0, 95.0], [True, False, False, True]),
        ([100.0, 0.0, 100.0], [True, False, True]),
    ],
)
def test_work_is_refused_from_one_bound_on_and_taken_again_only_below_a_lower_one(
    readings: list[float], refused: list[bool]
) -> None:
    state = overload()
    seen = []

    for percent in readings:
        state.see_memory(percent)
        seen.append(state.reason is Reason.MEMORY)

    assert seen == refused


@given(st.lists(PERCENTS))
def test_an_alarm_changes_only_where_its_bound_is_crossed(values: list[float]) -> None:
    alarm = Alarm(start_at=80, stop_below=60)

    for value in values:
        before = alarm.on
        alarm.see(value)
        if alarm.on and not before:
            assert value >= 80
        elif before and not alarm.on:
            assert value < 60
        elif not before:
            assert value < 80
        else:
            assert value >= 60


@pytest.mark.parametrize("lag_s", [1.0, 1.7, 60.0])
def test_one_hiccup_of_the_loop_is_no_overload_and_lasting_delay_is(lag_s: float) -> None:
    state = overload(max_loop_lag_ms=500)

    state.see_lag(lag_s)
    after_one = state.reason
    state.see_lag(lag_s)

    assert after_one is None
    assert state.reason is Reason.EVENT_LOOP


def test_the_loop_counts_as_recovered_at_half_of_what_is_too_much() -> None:
    state = overload(max_loop_lag_ms=500)
    for _ in range(2):
        state.see_lag(2.0)
    states = []

    for _ in range(4):
        state.see_lag(0.0)
        states.append((round(state.loop_lag_s, 2), state.reason is not None))

    assert states == [(0.36, True), (0.25, False), (0.17, False), (0.12, False)]


def test_of_two_reasons_memory_is_named() -> None:
    state = overload()
    for _ in range(2):
        state.see_lag(10.0)
    reasons = []

    for percent in (99.0, 10.0):
        state.see_memory(percent)
        reasons.append(state.reason)

    assert reasons == [Reason.MEMORY, Reason.EVENT_LOOP]


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"shed_above_percent": 99.0, "resume_below_percent": 98.0}, None),
        ({"shed_above_percent": 99.0, "resume_below_percent": 90.0}, Reason.MEMORY),
        ({"shed_above_percent": 50.0, "resume_below_percent": 40.0}, Reason.MEMORY),
    ],
)
def test_new_bounds_hold_for_the_latest_reading_at_once(keys: dict[str, float], reason: Reason | None) -> None:
    state = overload()
    state.see_memory(97.0)

    state.reconfigure(ShedderConfig(**keys))

    assert state.reason == reason


def test_bounds_without_a_gap_are_refused() -> None:
    with pytest.raises(ValueError, match="must be below shed_above_percent"):
        ShedderConfig(shed_above_percent=80, resume_below_percent=80)


def test_memory_that_is_not_known_any_more_refuses_nobody() -> None:
    state = overload()
    state.see_memory(99.0)

    state.lose_memory()
    lost = state.reason
    state.reconfigure(ShedderConfig())
    state.see_memory(92.0)

    assert (lost, state.reason) == (None, None)
