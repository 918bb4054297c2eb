from attrs import define

from lmx.workers.trimming import TrimTimer


@define
class Clock:
    now_s: float = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_nothing_is_due_before_any_work() -> None:
    assert TrimTimer(10.0, Clock()).wait_s() is None


def test_a_trim_is_due_so_long_after_the_last_work() -> None:
    clock = Clock()
    timer = TrimTimer(10.0, clock)

    timer.worked()
    clock.now_s += 9
    timer.worked()
    clock.now_s += 4
    waiting_s = timer.wait_s()
    clock.now_s += 60

    assert (waiting_s, timer.wait_s()) == (6, 0)


def test_after_a_trim_nothing_is_due_until_there_was_work_again() -> None:
    clock = Clock()
    timer = TrimTimer(10.0, clock)

    timer.worked()
    timer.trimmed()
    idle_wait_s = timer.wait_s()
    timer.worked()

    assert (idle_wait_s, timer.wait_s()) == (None, 10)
