import pytest

from lmx_ratelimit.accounts import REQUESTS, TOKENS, Accounts, holder_of
from lmx_ratelimit.config import KeyLimits, RateLimitConfig

BOTH = RateLimitConfig(requests_per_minute=60, tokens_per_minute=600)


@pytest.mark.parametrize(
    ("key", "client", "name"),
    [("k", None, "key:k"), ("k", "c", "key:k"), (None, "c", "client:c"), (None, None, "anonymous")],
)
def test_a_key_goes_before_what_a_client_calls_itself(key: str | None, client: str | None, name: str) -> None:
    assert holder_of(key, client) == name


def test_a_key_and_a_client_of_one_name_are_two() -> None:
    accounts = Accounts(BOTH)

    assert accounts.of("a", None, 0.0) is not accounts.of(None, "a", 0.0)


@pytest.mark.parametrize(
    ("config", "limited"),
    [
        (RateLimitConfig(), False),
        (RateLimitConfig(requests_per_minute=1), True),
        (RateLimitConfig(tokens_per_minute=1), True),
        (RateLimitConfig(keys={"a": KeyLimits()}), False),
        (RateLimitConfig(keys={"a": KeyLimits(tokens_per_minute=1)}), True),
    ],
)
def test_nobody_is_limited_where_no_limit_is_set(config: RateLimitConfig, limited: bool) -> None:
    assert Accounts(config).limited is limited


def test_what_a_key_is_given_stands_in_place_of_the_general_limits() -> None:
    accounts = Accounts(
        RateLimitConfig(requests_per_minute=60, keys={"own": KeyLimits(tokens_per_minute=600), "free": KeyLimits()})
    )

    units = {name: accounts.of(name, None, 0.0) for name in ("own", "free", "other")}

    assert {name: account and list(account.buckets) for name, account in units.items()} == {
        "own": [TOKENS],
        "free": None,
        "other": [REQUESTS],
    }


def test_of_two_shortages_the_longer_one_counts() -> None:
    account = Accounts(BOTH).of(None, None, 0.0)
    assert account is not None

    account.charge(REQUESTS, 60, 0.0)
    short = account.shortage(0.0)
    account.charge(TOKENS, 700, 0.0)

    assert short == (REQUESTS, 1.0)
    unit, wait_s = account.shortage(0.0) or ("", 0.0)
    assert (unit, round(wait_s, 6)) == (TOKENS, 10.1)


def test_so_many_accounts_are_kept_and_those_away_for_longest_go_first() -> None:
    accounts = Accounts(BOTH, max_accounts=2)

    for client in "abac":
        accounts.of(None, client, 0.0)

    assert len(accounts) == 2
    assert accounts.known(None, "b") is None
    assert list(accounts.latest(5, 0.0)) == ["client:c", "client:a"]


def test_other_limits_leave_what_was_used_used() -> None:
    accounts = Accounts(BOTH)
    account = accounts.of(None, None, 0.0)
    assert account is not None
    account.charge(TOKENS, 900, 0.0)

    accounts.reconfigure(RateLimitConfig(tokens_per_minute=60), 0.0)

    assert accounts.latest(1, 0.0) == {"anonymous": {TOKENS: -300}}


def test_a_limit_that_comes_later_holds_for_those_who_are_known() -> None:
    accounts = Accounts(RateLimitConfig())
    free = accounts.of(None, None, 0.0)

    accounts.reconfigure(BOTH, 0.0)

    assert free is None
    assert accounts.latest(1, 0.0) == {"anonymous": {REQUESTS: 60, TOKENS: 600}}
