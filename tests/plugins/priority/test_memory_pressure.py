import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx_hookspecs import Holding, MemoryReport
from lmx_priority.pressure import adapted, pressure
from priority_support import GB, memory


def test_the_pressure_is_what_models_take_of_their_budget() -> None:
    assert pressure(memory(45, budget_gb=90)) == 0.5


def test_other_programs_make_the_budget_smaller() -> None:
    assert pressure(memory(45, budget_gb=90, available_gb=5)) == 0.9


def test_a_model_that_is_still_loading_counts_with_what_is_reserved_for_it() -> None:
    report = MemoryReport(
        total_bytes=100 * GB,
        available_bytes=100 * GB,
        budget_bytes=80 * GB,
        held_bytes=60 * GB,
        holdings=[
            Holding(name="loading", reserved_bytes=20 * GB),
            Holding(name="ready", reserved_bytes=40 * GB, measured_bytes=20 * GB),
        ],
    )

    assert pressure(report) == 0.5


def test_nothing_loaded_is_no_pressure_and_no_budget_is_full_pressure() -> None:
    assert pressure(memory(0, budget_gb=0, available_gb=0)) == 0.0
    assert pressure(memory(1, budget_gb=0)) == 1.0


@pytest.mark.parametrize(
    ("share", "rows"), [(0.0, 32), (0.69, 32), (0.70, 24), (0.84, 24), (0.85, 16), (0.94, 16), (0.95, 1), (1.2, 1)]
)
def test_the_limit_follows_the_pressure_in_four_steps(share: float, rows: int) -> None:
    assert adapted(32, share) == rows


@given(limit=st.integers(1, 1024), share=st.floats(0, 2))
def test_an_adapted_limit_is_at_least_one_and_at_most_the_full_one(limit: int, share: float) -> None:
    assert 1 <= adapted(limit, share) <= limit


@given(limit=st.integers(1, 1024), shares=st.tuples(st.floats(0, 2), st.floats(0, 2)))
def test_more_pressure_never_lets_more_run(limit: int, shares: tuple[float, float]) -> None:
    assert adapted(limit, max(shares)) <= adapted(limit, min(shares))
