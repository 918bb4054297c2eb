from attrs import define

from lmx.workers.activity import Activity


@define
class Clock:
    now_s: float = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_an_idle_worker_has_no_age() -> None:
    assert Activity(Clock()).age_s() == 0.0


def test_the_oldest_work_counts() -> None:
    clock = Clock()
    activity = Activity(clock)

    activity.begin("prepare")
    clock.now_s += 5
    activity.begin("step")
    clock.now_s += 2

    assert activity.age_s() == 7
    activity.end("prepare")
    assert activity.age_s() == 2


def test_progress_starts_the_age_anew() -> None:
    clock = Clock()
    activity = Activity(clock)
    activity.begin("progress")
    clock.now_s += 5

    activity.begin("progress")

    assert activity.age_s() == 0.0
