"""The server itself: plugins, status, health, and what its parts say of themselves."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version

from lmx_hookspecs import Context, JsonResponse, ModelState, ModelStatus, Request, Response

FULL_PERCENT = 95.0
"""Above this share of used memory, `/admin/health` says `degraded`."""


async def plugins(ctx: Context, _request: Request) -> Response:
    """The facts of `lmx plugins list --json`."""
    found = ctx.services.plugins.list()
    return JsonResponse(body={"plugins": found, "count": len(found)})


async def stack(ctx: Context, _request: Request) -> Response:
    """What every long-lived object says of itself."""
    return JsonResponse(body=ctx.services.describe())


async def status(ctx: Context, _request: Request) -> Response:
    """Numbers for a dashboard; GB are 10^9 bytes."""
    import psutil

    models = await ctx.services.models.list()
    memory = psutil.virtual_memory()
    return JsonResponse(
        body={
            "version": version("opta-lmx"),
            "uptime_seconds": ctx.services.describe().get("uptime_seconds"),
            "loaded_models": len(_ready(models)),
            "models": _ready(models),
            "memory": {
                "total_gb": _gb(memory.total),
                "used_gb": _gb(memory.total - memory.available),
                "available_gb": _gb(memory.available),
                "usage_percent": memory.percent,
            },
            "in_flight_requests": _in_flight(models),
            "max_concurrent_requests": ctx.services.config.section("models").max_concurrent_requests,
        }
    )


async def health(ctx: Context, _request: Request) -> Response:
    """`degraded` while memory is nearly full or a health check fails, with the reasons."""
    import psutil

    models = await ctx.services.models.list()
    checks = await ctx.services.health.report()
    memory_percent = psutil.virtual_memory().percent
    reasons = [f"{name}: {health.detail}" for name, health in sorted(checks.items()) if not health.ok]
    if memory_percent > FULL_PERCENT:
        reasons.append(f"memory is {memory_percent:.1f}% used; unload a model")
    return JsonResponse(
        body={
            "status": "degraded" if reasons else "ok",
            "version": version("opta-lmx"),
            "reason": "; ".join(reasons) or None,
            "memory_usage_percent": round(memory_percent, 1),
            "metal": _metal(models),
            "helpers": {},
            "checks": {name: {"ok": health.ok, "detail": health.detail} for name, health in sorted(checks.items())},
            "models_loaded": len(_ready(models)),
            "in_flight_requests": _in_flight(models),
        }
    )


def _metal(models: Sequence[ModelStatus]) -> Mapping[str, float] | None:
    """What the engines on a GPU say of its memory, together; null where none is."""
    engines = [model.details.get("details", {}).get("memory", {}) for model in models]
    readings = [reading for reading in engines if "active_bytes" in reading]
    if not readings:
        return None
    return {
        f"{kind}_memory_gb": _gb(sum(reading.get(f"{kind}_bytes", 0) for reading in readings))
        for kind in ("active", "peak", "cache")
    }


def _ready(models: Sequence[ModelStatus]) -> list[str]:
    return sorted(model.info.id for model in models if model.state is ModelState.READY)


def _in_flight(models: Sequence[ModelStatus]) -> int:
    return sum(model.in_flight for model in models)


def _gb(size_bytes: float) -> float:
    return round(size_bytes / 1e9, 3)
