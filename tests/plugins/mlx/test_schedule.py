import pytest

from lmx_mlx.schedule import LARGEST_CHUNK, SMALLEST_CHUNK, Average, PrefillPace, decode_weight, padding_tokens


def pace_of(tokens_per_s: float) -> PrefillPace:
    return PrefillPace(budget_s=0.025, idle_budget_s=0.25, tokens_per_s=tokens_per_s)


@pytest.mark.parametrize(
    ("tokens_per_s", "decode_step_s", "expected"),
    [
        (4000, 0.001, 100),  # the budget
        (4000, 0.0, 100),  # a row is decoded, how fast is not known yet
        (4000, 0.020, 160),  # two decode steps, where they are longer
        (4000, None, 1000),  # nobody is held up
        (10, 0.001, SMALLEST_CHUNK),
        (10**9, None, LARGEST_CHUNK),
    ],
)
def test_a_chunk_takes_its_time_budget(tokens_per_s: float, decode_step_s: float | None, expected: int) -> None:
    assert pace_of(tokens_per_s).chunk_tokens(decode_step_s) == expected


def test_the_pace_follows_the_last_chunks() -> None:
    pace = pace_of(1000)

    for _ in range(20):
        pace.measured(100, 0.01)

    assert pace.tokens_per_s == pytest.approx(10_000, rel=0.01)


def test_the_last_few_tokens_of_a_prompt_teach_nothing() -> None:
    pace = pace_of(1000)

    pace.measured(3, 1.0)

    assert pace.tokens_per_s == 1000


def test_an_average_starts_at_its_first_measurement_and_moves_slowly() -> None:
    average = Average()

    average.add(1.0)
    average.add(2.0)

    assert average.value == pytest.approx(1.3)


def test_padding_is_one_row_or_all_the_others() -> None:
    assert padding_tokens(longest=4000, rows=8, length=100) == 3900
    assert padding_tokens(longest=100, rows=8, length=4000) == 8 * 3900
    assert padding_tokens(longest=100, rows=8, length=100) == 0


def test_a_lane_weighs_less_than_its_rows_and_more_than_one() -> None:
    assert decode_weight(0) == 0
    assert decode_weight(1) == 1
    assert 1 < decode_weight(8) < 8
