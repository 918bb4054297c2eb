"""Plugin `priority`: classes that age, fair shares between keys and clients, few swaps of models."""

from collections.abc import Sequence

from lmx_hookspecs import ConfigSpec, Context, MemoryReport, Scheduler, SchedulerSpec, hookimpl
from lmx_priority.config import PriorityConfig


@hookimpl
def lmx_config() -> Sequence[ConfigSpec]:
    """How long the queues are, how long one waits, and what a key may run at once."""
    return [ConfigSpec(cls=PriorityConfig)]


@hookimpl
def lmx_schedulers() -> Sequence[SchedulerSpec]:
    """The policy `priority`."""
    return [SchedulerSpec(name="priority", open=_open)]


def _open(ctx: Context) -> Scheduler:
    from lmx_priority.scheduler import PriorityScheduler

    def memory() -> MemoryReport:
        return ctx.services.models.memory()  # there once the kernel runs, not while it opens us

    return PriorityScheduler(config=ctx.config, memory=memory)
