"""What one model was loaded with, beside what holds for all."""

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from lmx_admin.wire import gb, named_in_error, reply
from lmx_hookspecs import Capability, Context, Request, Response


@frozen(kw_only=True)
class SchedulerDefaults:
    """Bounds of a batch; null is not set, or not a setting of this version."""

    max_num_seqs: int | None
    prefill_batch_size: int | None
    completion_batch_size: int | None
    cache_memory_percent: float | None


@frozen(kw_only=True)
class GlobalDefaults:
    """What holds where neither a model, a preset nor a load says otherwise; null as in SchedulerDefaults."""

    kv_bits: int | None
    kv_group_size: int | None
    prefix_cache_enabled: bool | None
    speculative_model: str | None
    speculative_num_tokens: int | None
    warmup_on_load: bool | None
    stream_interval: int | None
    scheduler: SchedulerDefaults
    max_concurrent_requests: int | None


@frozen(kw_only=True)
class PerformanceAnswer:
    """A model's settings; times are Unix times in seconds, null while it is not loaded."""

    model_id: str
    backend_type: str | None
    loaded_at: float | None
    request_count: int
    last_used_at: float | None
    memory_gb: float
    context_length: int | None
    use_batching: bool
    performance: Mapping[str, Any]
    """Those that its load was asked for with: the request's over its presets'."""
    settings: Mapping[str, Any]
    """All that hold for it, merged."""
    global_defaults: GlobalDefaults


async def performance(ctx: Context, request: Request) -> Response:
    """The settings of one model."""
    with named_in_error("model_id"):
        status = await ctx.services.models.get(request.path_params["id"])
    return reply(
        PerformanceAnswer(
            model_id=status.info.id,
            backend_type=status.backend,
            loaded_at=status.loaded_at,
            request_count=status.request_count,
            last_used_at=status.last_used_at,
            memory_gb=gb(status.memory_bytes),
            context_length=status.context_length,
            use_batching=Capability.BATCHING in status.capabilities,
            performance=status.performance,
            settings=status.info.settings,
            global_defaults=_defaults(ctx.services.config.section("models")),
        )
    )


def _defaults(models: Any) -> GlobalDefaults:
    """From the section `models`; what later versions add to it appears here by itself."""

    def value(name: str) -> Any:
        return getattr(models, name, None)

    return GlobalDefaults(
        kv_bits=value("kv_bits"),
        kv_group_size=value("kv_group_size"),
        prefix_cache_enabled=value("prefix_cache_enabled"),
        speculative_model=value("speculative_model"),
        speculative_num_tokens=value("speculative_num_tokens"),
        warmup_on_load=value("warmup_on_load"),
        stream_interval=value("stream_interval"),
        scheduler=SchedulerDefaults(
            max_num_seqs=value("max_concurrent_requests"),
            prefill_batch_size=value("scheduler_prefill_batch_size"),
            completion_batch_size=value("scheduler_completion_batch_size"),
            cache_memory_percent=value("scheduler_cache_memory_percent"),
        ),
        max_concurrent_requests=value("max_concurrent_requests"),
    )
