from lmx_mlx.lanes import Row
from lmx_mlx.placing import MOST_OVERTAKES, next_to_admit
from mlx_support import request_of


def row_of(number: int, positions: int) -> Row:
    return Row(
        id=number,
        request=request_of([1]),
        prompt=[1],
        max_tokens=1,
        sampler=None,
        processors=[],
        positions=positions,
    )


def test_rows_are_admitted_in_order_of_arrival() -> None:
    first, second = row_of(1, 100), row_of(2, 50)

    assert next_to_admit([first, second], 100) is first
    assert next_to_admit([first, second], 50) is second
    assert next_to_admit([first, second], 49) is None


def test_a_large_row_is_overtaken_so_often_and_no_more() -> None:
    large, smalls = row_of(0, 100), [row_of(number, 10) for number in range(1, 20)]

    admitted = []
    while row := next_to_admit([large, *smalls], 50):
        admitted.append(row)
        smalls.remove(row)

    assert [row.id for row in admitted] == list(range(1, MOST_OVERTAKES + 1))
    assert next_to_admit([large, *smalls], 100) is large


def test_rows_before_the_large_one_still_go_ahead() -> None:
    early, large, late = row_of(1, 10), row_of(2, 100), row_of(3, 10)
    large.overtaken = MOST_OVERTAKES

    assert next_to_admit([early, large, late], 50) is early
    assert next_to_admit([large, late], 50) is None
