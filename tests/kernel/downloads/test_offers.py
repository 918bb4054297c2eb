from pathlib import Path

import pytest

from downloads_support import wanted
from lmx.downloads.offers import KEPT_OFFERS, LIFETIME_S, Offers
from lmx_hookspecs import RemoteModel
from lmx_hookspecs.errors import NotFound

REMOTE = RemoteModel(repo_id="org/name", commit="c" * 40, files=(), destination=Path("/nowhere"))


def test_a_token_stands_for_its_offer_until_its_time_is_over() -> None:
    now_s = 0.0
    offers = Offers(lambda: now_s)
    early, late = (offers.make(wanted(), None, REMOTE) for _ in range(2))

    now_s = LIFETIME_S
    in_time = offers.take(early)
    now_s += 0.1

    assert in_time.remote is REMOTE
    with pytest.raises(NotFound, match="expired"):
        offers.take(late)


def test_an_unknown_token_may_have_expired() -> None:
    with pytest.raises(NotFound, match="expired") as caught:
        Offers(lambda: 0.0).take("dl-nonsense")

    assert caught.value.code == "token_not_found"


def test_only_the_latest_offers_are_kept() -> None:
    offers = Offers(lambda: 0.0)
    tokens = [offers.make(wanted(), None, REMOTE) for _ in range(KEPT_OFFERS + 1)]

    assert len(set(tokens)) == len(tokens)
    assert offers.take(tokens[1])
    with pytest.raises(NotFound):
        offers.take(tokens[0])
