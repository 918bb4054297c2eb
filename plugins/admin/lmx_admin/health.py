"""The server at a glance: status and health."""

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Literal

from attrs import frozen

from lmx_admin.engines import EngineAnswer, engines_of
from lmx_admin.helpers import circuits, helper_nodes
from lmx_admin.memory import threshold_percent, used_percent
from lmx_admin.thermal import NAME as THERMAL
from lmx_admin.thermal import Thermal
from lmx_admin.wire import gb, reply
from lmx_hookspecs import Context, Health, ModelState, ModelStatus, Request, Response

FULL_PERCENT = 95.0
"""Above this share of used memory, `/admin/health` says `degraded`."""


@frozen(kw_only=True)
class MachineMemory:
    """Of the machine; GB are 10^9 bytes."""

    total_gb: float
    used_gb: float
    available_gb: float
    usage_percent: float
    threshold_percent: int
    """Share that all models together may hold."""


@frozen(kw_only=True)
class StatusAnswer:
    """Numbers for a dashboard."""

    version: str
    uptime_seconds: float
    loaded_models: int
    models: Sequence[str]
    memory: MachineMemory
    in_flight_requests: int
    max_concurrent_requests: int | None
    """Per model; null is each engine's batch size."""


@frozen(kw_only=True)
class Metal:
    """What the engines on a GPU say of its memory, together."""

    active_memory_gb: float
    peak_memory_gb: float
    cache_memory_gb: float


@frozen(kw_only=True)
class CheckAnswer:
    """What one health check says."""

    ok: bool
    detail: str
    duration_ms: float
    age_ms: float
    """How old the answer is: probes do not make a check run more often than it wants to."""


@frozen(kw_only=True)
class HealthAnswer:
    """`degraded` while memory is nearly full, a check fails (`engines` is one), or a helper node is ill."""

    status: Literal["ok", "degraded"]
    version: str
    reason: str | None
    memory_usage_percent: float
    metal: Metal | None
    thermal: Thermal | None
    """Null where nobody measures."""
    engines: Mapping[str, EngineAnswer]
    breakers: Mapping[str, str]
    """The circuit of each model that was called lately: closed, open or half_open."""
    queues: Mapping[str, Any]
    """What the scheduler says."""
    helpers: Mapping[str, Any]
    checks: Mapping[str, CheckAnswer]
    safe_mode: bool
    """Nothing was loaded at start, since the server had crashed again and again; the check `state` says more."""
    models_loaded: int
    in_flight_requests: int


async def status(ctx: Context, _request: Request) -> Response:
    """Uptime, models, memory, requests."""
    models = await ctx.services.models.list()
    memory = ctx.services.models.memory()
    return reply(
        StatusAnswer(
            version=version("opta-lmx"),
            uptime_seconds=ctx.services.describe().get("uptime_seconds", 0.0),
            loaded_models=len(_ready(models)),
            models=_ready(models),
            memory=MachineMemory(
                total_gb=gb(memory.total_bytes),
                used_gb=gb(memory.total_bytes - memory.available_bytes),
                available_gb=gb(memory.available_bytes),
                usage_percent=round(used_percent(memory), 1),
                threshold_percent=threshold_percent(ctx),
            ),
            in_flight_requests=_in_flight(models),
            max_concurrent_requests=ctx.services.config.section("models").max_concurrent_requests,
        )
    )


async def health(ctx: Context, _request: Request) -> Response:
    """Whether anything is wrong, and what; always 200."""
    models = await ctx.services.models.list()
    checks = await ctx.services.health.report()
    percent = used_percent(ctx.services.models.memory())
    described = ctx.services.describe()
    reasons = list(_reasons(checks, percent, described))
    return reply(
        HealthAnswer(
            status="degraded" if reasons else "ok",
            version=version("opta-lmx"),
            reason="; ".join(reasons) or None,
            memory_usage_percent=round(percent, 1),
            metal=_metal(models),
            thermal=_thermal(checks),
            engines=engines_of(models),
            breakers=circuits(described),
            queues=described.get("scheduler", {}),
            helpers=helper_nodes(described),
            checks={name: _checked(check) for name, check in sorted(checks.items())},
            safe_mode=described.get("state", {}).get("safe_mode", False),
            models_loaded=len(_ready(models)),
            in_flight_requests=_in_flight(models),
        )
    )


def _checked(check: Health) -> CheckAnswer:
    took_ms, age_ms = round(check.took_s * 1e3, 2), round(check.age_s * 1e3, 2)
    return CheckAnswer(ok=check.ok, detail=check.detail, duration_ms=took_ms, age_ms=age_ms)


def _thermal(checks: Mapping[str, Health]) -> Thermal | None:
    facts = checks[THERMAL].facts if THERMAL in checks else {}
    return Thermal(**facts) if facts else None


def _reasons(checks: Mapping[str, Health], percent: float, described: Mapping[str, Any]) -> Iterator[str]:
    for name, check in sorted(checks.items()):
        if not check.ok:
            yield f"{name}: {check.detail}"
    if percent > FULL_PERCENT:
        yield f"memory is {percent:.1f}% used; unload a model"
    for role, helper in sorted(helper_nodes(described).items()):
        if not helper.get("healthy", True):
            yield f"helper node {role} is not healthy"


def _metal(models: Sequence[ModelStatus]) -> Metal | None:
    engines = [model.details.get("details", {}).get("memory", {}) for model in models]
    readings = [reading for reading in engines if "active_bytes" in reading]
    if not readings:
        return None

    def total_gb(kind: str) -> float:
        return gb(sum(reading.get(f"{kind}_bytes", 0) for reading in readings))

    return Metal(
        active_memory_gb=total_gb("active"), peak_memory_gb=total_gb("peak"), cache_memory_gb=total_gb("cache")
    )


def _ready(models: Sequence[ModelStatus]) -> list[str]:
    return sorted(model.info.id for model in models if model.state is ModelState.READY)


def _in_flight(models: Sequence[ModelStatus]) -> int:
    return sum(model.in_flight for model in models)
