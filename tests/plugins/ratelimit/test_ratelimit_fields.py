from typing import Any

import pytest

from lmx_ratelimit.accounts import REQUESTS, TOKENS, Account, Accounts
from lmx_ratelimit.config import RateLimitConfig
from lmx_ratelimit.fields import duration, encoded, fields_of


def account(**keys: Any) -> Account:
    made = Accounts(RateLimitConfig(**keys)).of(None, None, 0.0)
    assert made is not None
    return made


def test_both_limits_are_told_in_both_forms() -> None:
    made = account(requests_per_minute=60, tokens_per_minute=6000)
    made.charge(REQUESTS, 1, 0.0)
    made.charge(TOKENS, 150, 0.0)

    assert fields_of(made, 0.0) == {
        "ratelimit-policy": '"requests";q=60;w=60, "tokens";q=6000;qu="tokens";w=60',
        "ratelimit": '"requests";r=59;t=1, "tokens";r=5850;t=2',
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "6000",
        "x-ratelimit-remaining-tokens": "5850",
        "x-ratelimit-reset-tokens": "1.5s",
    }


def test_where_nothing_remains_the_time_is_that_until_there_is_something_again() -> None:
    made = account(tokens_per_minute=60)
    made.charge(TOKENS, 100, 0.0)

    fields = fields_of(made, 0.0)

    assert fields["ratelimit"] == '"tokens";r=0;t=41'
    assert (fields["x-ratelimit-remaining-tokens"], fields["x-ratelimit-reset-tokens"]) == ("0", "1m40s")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0ms"),
        (0.0171, "18ms"),
        (1.0, "1s"),
        (8.64, "8.64s"),
        (59.9999, "1m0s"),
        (360.0, "6m0s"),
        (3723.5, "1h2m3.5s"),
        (7200.0, "2h0m0s"),
    ],
)
def test_durations_are_written_as_openai_writes_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_fields_are_encoded_for_asgi() -> None:
    assert encoded({"ratelimit": '"requests";r=1;t=2'}) == [(b"ratelimit", b'"requests";r=1;t=2')]
