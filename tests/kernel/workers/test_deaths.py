from attrs import define

from lmx.workers.deaths import Deaths


@define
class Clock:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


def deaths(clock: Clock, *, quarantine_after: int = 3) -> Deaths:
    return Deaths(clock, 60.0, quarantine_after, 0.5, 4.0)


def test_pauses_double_up_to_their_limit() -> None:
    known = deaths(Clock())

    pauses_s = []
    for _ in range(5):
        known.record()
        pauses_s.append(known.pause_s)

    assert pauses_s == [0.5, 1.0, 2.0, 4.0, 4.0]


def test_many_deaths_within_the_window_are_too_many() -> None:
    known = deaths(Clock())

    verdicts = []
    for _ in range(3):
        known.record()
        verdicts.append(known.too_many)

    assert verdicts == [False, False, True]


def test_deaths_are_forgotten_after_the_window() -> None:
    clock = Clock()
    known = deaths(clock, quarantine_after=2)
    known.record()

    clock.now_s = 61.0
    known.record()

    assert not known.too_many
    assert known.pause_s == 0.5
    assert known.total == 2
