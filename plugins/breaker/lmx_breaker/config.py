"""Keys of plugin `breaker`."""

from attrs import frozen

from lmx_hookspecs import option


@frozen(kw_only=True)
class BreakerConfig:
    """When a model is left alone, and for how long."""

    failure_threshold: int = option(
        3, "failures in a row after which a model is left alone", ge=1, le=1000, restart=False
    )
    reset_after_s: float = option(
        60.0, "seconds after which a model that was left alone is tried again", gt=0, le=86_400, restart=False
    )
    probe: bool = option(
        True,
        "try a loaded model with a one-token generation; false leaves the try to the next request",
        restart=False,
    )
