"""The header fields that tell a client its limits, and what it has left of them.

`RateLimit-Policy` and `RateLimit` as in draft-ietf-httpapi-ratelimit-headers-11: a quota `q` of units `qu`, which are
requests where nothing is said, within a window of `w` seconds; `r` of them remain, and `t` seconds later there are all
again, or the first one where none remains. The `x-ratelimit-*` fields are OpenAI's; their durations look like `6m0s`.
"""

from collections.abc import Mapping
from math import ceil, floor

from lmx_ratelimit.accounts import REQUESTS, Account
from lmx_ratelimit.bucket import ROUNDING, Limit


def fields_of(account: Account, now_s: float) -> dict[str, str]:
    """The header fields of an answer to the account's holder."""
    policies, standings, fields = [], [], {}
    for unit, bucket in account.buckets.items():
        limit = bucket.limit
        left = max(0, floor(bucket.level(now_s) + ROUNDING))
        full_in_s = bucket.full_in_s(now_s)
        next_s = full_in_s if left else bucket.wait_s(now_s)
        policies.append(_policy(unit, limit))
        standings.append(f'"{unit}";r={left};t={ceil(next_s - ROUNDING)}')
        fields[f"x-ratelimit-limit-{unit}"] = str(limit.quota)
        fields[f"x-ratelimit-remaining-{unit}"] = str(left)
        fields[f"x-ratelimit-reset-{unit}"] = duration(full_in_s)
    return {"ratelimit-policy": ", ".join(policies), "ratelimit": ", ".join(standings), **fields}


def encoded(fields: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """As ASGI has them."""
    return [(name.encode(), value.encode()) for name, value in fields.items()]


def duration(seconds: float) -> str:
    """`340ms`, `8.64s`, `6m0s`, `1h2m3s`; rounded up to milliseconds."""
    milliseconds = ceil(seconds * 1000 - ROUNDING)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, milliseconds = divmod(milliseconds, 60_000)
    text = f"{milliseconds / 1000:g}s"
    if not minutes:
        return text
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}"


def _policy(unit: str, limit: Limit) -> str:
    units = "" if unit == REQUESTS else f';qu="{unit}"'
    return f'"{unit}";q={limit.quota}{units};w={limit.window_s}'
