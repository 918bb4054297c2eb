"""Plugin `shedder`: refuses work while the machine is short of memory, or the server behind with its own."""

from collections.abc import Sequence

from lmx_hookspecs import ConfigSpec, Context, Health, HealthCheck, MiddlewareSpec, hookimpl
from lmx_hookspecs.http import Wrap
from lmx_shedder.config import ShedderConfig

ORDER = 10
"""Outside of whatever costs more than saying no."""


@hookimpl
def lmx_config() -> Sequence[ConfigSpec]:
    """From where on work is refused."""
    return [ConfigSpec(cls=ShedderConfig)]


@hookimpl
def lmx_middlewares() -> Sequence[MiddlewareSpec]:
    """The middleware `shedder`."""
    return [MiddlewareSpec(name="shedder", wrap=_wrap, order=ORDER)]


@hookimpl
def lmx_health_checks() -> Sequence[HealthCheck]:
    """Memory pressure. Not critical: a server that refuses work still answers, and says so itself."""
    return [HealthCheck(name="shedder.memory", check=_check)]


def _wrap(ctx: Context) -> Wrap:
    from lmx_shedder.memory import memory_reader
    from lmx_shedder.shedder import shedder_of

    return shedder_of(ctx, memory_reader())


async def _check(ctx: Context) -> Health:
    from lmx_shedder.memory import check_memory, read_once

    return await check_memory(ctx.config, read_once)
