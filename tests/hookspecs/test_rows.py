"""Which of the rows that wait for room is taken next."""

from collections.abc import Callable

from attrs import define

from lmx_hookspecs.rows import MOST_OVERTAKES, next_to_admit


@define(eq=False)
class Row:
    id: int
    positions: int
    overtaken: int = 0


def within(free_positions: int) -> Callable[[Row], bool]:
    return lambda row: row.positions <= free_positions


def test_rows_are_admitted_in_order_of_arrival() -> None:
    first, second = Row(1, 100), Row(2, 50)

    assert next_to_admit([first, second], within(100)) is first
    assert next_to_admit([first, second], within(50)) is second
    assert next_to_admit([first, second], within(49)) is None


def test_a_large_row_is_overtaken_so_often_and_no_more() -> None:
    large, smalls = Row(0, 100), [Row(number, 10) for number in range(1, 20)]

    admitted = []
    while row := next_to_admit([large, *smalls], within(50)):
        admitted.append(row)
        smalls.remove(row)

    assert [row.id for row in admitted] == list(range(1, MOST_OVERTAKES + 1))
    assert next_to_admit([large, *smalls], within(100)) is large


def test_rows_before_the_large_one_still_go_ahead() -> None:
    early, large, late = Row(1, 10), Row(2, 100), Row(3, 10)
    large.overtaken = MOST_OVERTAKES

    assert next_to_admit([early, large, late], within(50)) is early
    assert next_to_admit([large, late], within(50)) is None
