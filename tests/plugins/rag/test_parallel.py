from contextlib import closing
from threading import Barrier, Event

import pytest

from lmx_rag.commands.parallel import in_parallel


def test_every_item_has_its_result_and_several_run_at_a_time() -> None:
    together = Barrier(3, timeout=20)

    def square(number: int) -> int:
        together.wait()  # nobody gets further until three are here
        return number * number

    assert sorted(in_parallel(square, range(6), jobs=3)) == [0, 1, 4, 9, 16, 25]


def test_an_error_ends_it_and_no_more_work_begins() -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        raise ValueError(number)

    with pytest.raises(ValueError, match="0"):
        list(in_parallel(work, range(100), jobs=1))

    assert begun == [0]


def test_closing_it_waits_for_what_runs_and_begins_no_more() -> None:
    finished: list[int] = []
    first_is_taken = Event()

    def work(number: int) -> int:
        if number:
            assert first_is_taken.wait(20)
        finished.append(number)
        return number

    with closing(in_parallel(work, range(100), jobs=1)) as results:
        assert next(results) == 0
        first_is_taken.set()

    assert len(finished) < 100
    assert finished == list(range(len(finished)))
