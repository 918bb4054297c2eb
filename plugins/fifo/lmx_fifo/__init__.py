"""Plugin `fifo`: first come, first served, with a bounded queue per model."""

from collections.abc import Sequence

from lmx_fifo.config import FifoConfig
from lmx_hookspecs import ConfigSpec, Context, Scheduler, SchedulerSpec, hookimpl


@hookimpl
def lmx_config() -> Sequence[ConfigSpec]:
    """How long the queues are, and how long one waits."""
    return [ConfigSpec(cls=FifoConfig)]


@hookimpl
def lmx_schedulers() -> Sequence[SchedulerSpec]:
    """The policy `fifo`."""
    return [SchedulerSpec(name="fifo", open=_open)]


def _open(ctx: Context) -> Scheduler:
    from lmx_fifo.scheduler import FifoScheduler

    return FifoScheduler(config=ctx.config)
