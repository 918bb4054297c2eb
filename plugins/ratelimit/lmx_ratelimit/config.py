"""Keys of plugin `ratelimit`."""

from collections.abc import Mapping

from attrs import frozen

from lmx_hookspecs import option


@frozen(kw_only=True)
class KeyLimits:
    """The limits of one API key, in place of the general ones; null is none."""

    requests_per_minute: int | None = option(None, "requests a minute", ge=1, le=1_000_000, restart=False)
    tokens_per_minute: int | None = option(
        None, "tokens a minute, of prompts and answers", ge=1, le=1_000_000_000, restart=False
    )


@frozen(kw_only=True)
class RateLimitConfig:
    """Limits for each API key; while there are no keys, for each X-Client-ID."""

    requests_per_minute: int | None = option(
        None, "requests a minute; null is no limit", ge=1, le=1_000_000, restart=False
    )
    tokens_per_minute: int | None = option(
        None, "tokens a minute, of prompts and answers; null is no limit", ge=1, le=1_000_000_000, restart=False
    )
    burst_s: float = option(
        60.0, "seconds of unused limits that are saved up, and may be used at once", ge=1, le=86_400, restart=False
    )
    keys: Mapping[str, KeyLimits] = option(
        factory=dict, doc="limits of single API keys, by the key's name, in place of the general ones", restart=False
    )
