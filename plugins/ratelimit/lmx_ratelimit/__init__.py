"""Plugin `ratelimit`: so many requests and tokens a minute for each API key, or client."""

from collections.abc import Sequence

from lmx_hookspecs import ConfigSpec, Context, MiddlewareSpec, hookimpl
from lmx_hookspecs.http import Wrap
from lmx_ratelimit.config import RateLimitConfig

ORDER = 20
"""Inside of the shedder: what is refused for the machine's sake counts for nobody."""


@hookimpl
def lmx_config() -> Sequence[ConfigSpec]:
    """The limits; there are none by default."""
    return [ConfigSpec(cls=RateLimitConfig)]


@hookimpl
def lmx_middlewares() -> Sequence[MiddlewareSpec]:
    """The middleware `ratelimit`."""
    return [MiddlewareSpec(name="ratelimit", wrap=_wrap, order=ORDER)]


def _wrap(ctx: Context) -> Wrap:
    from lmx_ratelimit.limiter import limiter_of

    return limiter_of(ctx)
