from types import SimpleNamespace
from typing import Any

from lmx.models.ledger import Ledger
from lmx.models.prospects import Prospects


def prospects(budget: int = 10, **residents: Any) -> Prospects:
    return Prospects(Ledger(lambda: budget), residents)


def resident(size_bytes: int, claim: Any = None) -> Any:
    """A model on its way in; without a claim its memory is not set aside yet."""
    return SimpleNamespace(estimate=SimpleNamespace(total_bytes=size_bytes), claim=claim)


def test_what_one_request_was_promised_is_not_promised_to_another() -> None:
    ahead = prospects()

    with ahead.expecting("a", 4), ahead.expecting("b", 4):
        third = ahead.fits("c", 4)
    after = ahead.fits("c", 4)

    assert (third, after) == (False, True)


def test_requests_for_one_model_share_what_it_takes() -> None:
    ahead = prospects()

    with ahead.expecting("a", 8):
        with ahead.expecting("a", 8):
            own = ahead.fits("a", 8)
        still = ahead.fits("b", 4)

    assert (own, still) == (True, False)


def test_what_is_set_aside_counts_once() -> None:
    ahead = prospects()
    claim = ahead.ledger.reserve("a", 4)
    ahead.residents = {"a": resident(4, claim)}

    with ahead.expecting("a", 4):
        assert ahead.fits("b", 6)
        assert not ahead.fits("b", 7)


def test_a_load_that_nobody_was_let_in_for_counts_before_its_memory_is_set_aside() -> None:
    ahead = prospects(a=resident(8))

    assert not ahead.fits("b", 4)


def test_what_takes_nothing_fits_whatever_is_expected() -> None:
    ahead = prospects()

    with ahead.expecting("a", 20):
        assert ahead.fits("elsewhere", 0)
