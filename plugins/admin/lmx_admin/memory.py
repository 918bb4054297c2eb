"""Memory: what the machine has, what models may hold, and who holds what."""

from collections.abc import Mapping, Sequence

from attrs import frozen

from lmx_admin.wire import gb, reply
from lmx_hookspecs import Context, Holding, MemoryReport, ModelState, ModelStatus, Request, Response

LISTED = frozenset({ModelState.LOADING, ModelState.READY, ModelState.DRAINING})


@frozen(kw_only=True)
class ModelMemory:
    """What one model takes; 0 until it is loaded."""

    memory_gb: float
    loaded: bool


@frozen(kw_only=True)
class HoldingAnswer:
    """One entry of the ledger."""

    name: str
    kind: str
    reserved_gb: float
    """Set aside before it was loaded."""
    measured_gb: float | None
    """What it was last seen to take."""
    pinned: bool
    idle_sec: float | None
    """Since it was last used or loaded; null while it is in use."""


@frozen(kw_only=True)
class MemoryAnswer:
    """The ledger; GB are 10^9 bytes."""

    total_unified_memory_gb: float
    """Of the machine, or of the control group that the server may not leave."""
    used_gb: float
    available_gb: float
    threshold_percent: int
    models: Mapping[str, ModelMemory]
    budget_gb: float
    """What all models together may hold."""
    held_gb: float
    holdings: Sequence[HoldingAnswer]


async def memory(ctx: Context, _request: Request) -> Response:
    """The ledger now."""
    report = ctx.services.models.memory()
    models = await ctx.services.models.list()
    return reply(
        MemoryAnswer(
            total_unified_memory_gb=gb(report.total_bytes),
            used_gb=gb(report.total_bytes - report.available_bytes),
            available_gb=gb(report.available_bytes),
            threshold_percent=threshold_percent(ctx),
            models={model.info.id: _model(model) for model in models if model.state in LISTED},
            budget_gb=gb(report.budget_bytes),
            held_gb=gb(report.held_bytes),
            holdings=[_holding(holding) for holding in report.holdings],
        )
    )


def used_percent(report: MemoryReport) -> float:
    """Share of the machine's memory that is in use, by whomever."""
    return 100 * (1 - report.available_bytes / report.total_bytes) if report.total_bytes else 0.0


def threshold_percent(ctx: Context) -> int:
    """`memory.max_memory_percent`."""
    percent: int = ctx.services.config.section("memory").max_memory_percent
    return percent


def _model(status: ModelStatus) -> ModelMemory:
    return ModelMemory(memory_gb=gb(status.memory_bytes), loaded=status.state is not ModelState.LOADING)


def _holding(holding: Holding) -> HoldingAnswer:
    return HoldingAnswer(
        name=holding.name,
        kind=holding.kind,
        reserved_gb=gb(holding.reserved_bytes),
        measured_gb=None if holding.measured_bytes is None else gb(holding.measured_bytes),
        pinned=holding.pinned,
        idle_sec=None if holding.idle_s is None else round(holding.idle_s, 1),
    )
