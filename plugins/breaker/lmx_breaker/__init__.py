"""Plugin `breaker`: leaves a model alone that fails again and again, and tries it from time to time."""

from collections.abc import Sequence

from lmx_breaker.config import BreakerConfig
from lmx_hookspecs import ConfigSpec, Context, GuardSpec, hookimpl
from lmx_hookspecs.scheduling import Guard


@hookimpl
def lmx_config() -> Sequence[ConfigSpec]:
    """When a circuit opens, and for how long."""
    return [ConfigSpec(cls=BreakerConfig)]


@hookimpl
def lmx_guards() -> Sequence[GuardSpec]:
    """The guard `breaker`."""
    return [GuardSpec(name="breaker", open=_open)]


def _open(ctx: Context) -> Guard:
    from lmx_breaker.guard import BreakerGuard

    return BreakerGuard(ctx=ctx)
