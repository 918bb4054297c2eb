from lmx.workers.pulse import Pulse


def test_a_worker_that_beats_lives() -> None:
    pulse = Pulse(interval_s=1.0, step_timeout_s=10.0)

    verdicts = []
    for _ in range(10):
        verdicts.append(pulse.tick())
        pulse.beat(step_age_s=5.0, pending=1)

    assert verdicts == [None] * 10


def test_three_missed_beats_are_silence() -> None:
    pulse = Pulse(interval_s=1.0, step_timeout_s=10.0)
    pulse.beat(0.0, 0)

    verdicts = [pulse.tick() for _ in range(4)]

    assert verdicts[:3] == [None] * 3
    assert "silent" in str(verdicts[3])


def test_a_frame_of_any_kind_is_a_sign_of_life() -> None:
    pulse = Pulse(interval_s=1.0, step_timeout_s=10.0)

    verdicts = []
    for _ in range(10):
        verdicts.append(pulse.tick())
        pulse.heard()

    assert verdicts == [None] * 10


def test_an_old_step_with_work_pending_is_wedged() -> None:
    pulse = Pulse(interval_s=1.0, step_timeout_s=10.0)

    pulse.beat(step_age_s=10.5, pending=2)

    assert "wedged" in str(pulse.tick())


def test_an_old_step_without_work_is_nobodys_loss() -> None:
    pulse = Pulse(interval_s=1.0, step_timeout_s=10.0)

    pulse.beat(step_age_s=99.0, pending=0)

    assert pulse.tick() is None
