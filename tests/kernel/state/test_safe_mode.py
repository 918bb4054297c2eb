import pytest

from lmx.state.safe_mode import is_safe_mode, with_unclean_start


@pytest.mark.parametrize(
    ("starts", "safe"),
    [([0, 1], False), ([0, 1, 2], True), ([0, 30, 60], True), ([0, 30, 61], False), ([0, 50, 100, 105], True)],
)
def test_three_unclean_starts_within_a_minute_are_safe_mode(starts: list[float], safe: bool) -> None:
    counted: list[float] = []
    for start in starts:
        counted = [*with_unclean_start(counted, start)]

    assert is_safe_mode(counted) is safe


def test_starts_in_the_future_are_from_before_the_clock_was_set_back() -> None:
    assert with_unclean_start([1_000.0, 1_010.0], 20.0) == [20.0]


def test_only_the_latest_starts_are_kept() -> None:
    assert len(with_unclean_start([float(number) for number in range(50)], 50.0)) == 10
