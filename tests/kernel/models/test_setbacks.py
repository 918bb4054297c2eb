from functools import partial

from lmx.models.setbacks import Setbacks
from lmx.workers import Deaths
from lmx_hookspecs import ModelState


def setbacks() -> Setbacks:
    return Setbacks(partial(Deaths, lambda: 0.0, 300.0, 3, 0.5, 30.0))


def test_a_model_nobody_failed_with_is_on_disk() -> None:
    assert setbacks().state("m") is ModelState.ON_DISK


def test_three_dead_workers_are_a_quarantine_and_three_other_failures_are_not() -> None:
    known = setbacks()

    died = [known.failed("dies", "signal 9", worker_died=True).state for _ in range(3)]
    refused = [known.failed("bad", "no such tensor", worker_died=False).state for _ in range(3)]

    assert died == [ModelState.FAILED, ModelState.FAILED, ModelState.QUARANTINED]
    assert refused == [ModelState.FAILED] * 3
    assert known.quarantined() == {"dies": "signal 9"}


def test_deaths_count_over_a_load_that_works_but_not_over_a_pardon() -> None:
    known = setbacks()
    for _ in range(2):
        known.failed("m", "died", worker_died=True)

    known.overcome("m")
    after_a_load = known.state("m"), known.failed("m", "died", worker_died=True).state
    forgiven = known.forgive("m")
    after_a_pardon = known.failed("m", "died", worker_died=True).state

    assert after_a_load == (ModelState.ON_DISK, ModelState.QUARANTINED)
    assert forgiven
    assert after_a_pardon is ModelState.FAILED


def test_failed_models_whose_files_are_gone_are_forgotten_and_quarantines_are_not() -> None:
    known = setbacks()
    for model_id in ("here", "gone"):
        known.failed(model_id, "broken", worker_died=False)
    known.quarantine("away", "kept dying")

    known.forget_failures_but_of({"here"})

    assert [known.get(model_id) is not None for model_id in ("here", "gone", "away")] == [True, False, True]
