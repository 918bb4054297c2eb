"""The settings of a model that this engine honours, and what they are called in vllm-mlx; it is not imported here."""

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from lmx_vllm.config import VllmConfig

HONOURED = frozenset(
    {
        "mode",
        "context_length",
        "completion_batch_size",
        "prefill_batch_size",
        "prefix_cache_enabled",
        "metal_cache_limit_gb",
        "ignore_remote_code",
    }
)
DEFAULT_ROWS = 32
DEFAULT_PREFILL_ROWS = 8


@frozen(kw_only=True)
class Settings:
    """`ModelInfo.settings`, with this engine's defaults where they say nothing."""

    mode: str | None = None
    context_length: int | None = None
    completion_batch_size: int = DEFAULT_ROWS
    prefill_batch_size: int = DEFAULT_PREFILL_ROWS
    prefix_cache_enabled: bool = True
    metal_cache_limit_gb: float | None = None
    ignore_remote_code: bool = False

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Settings":
        """Those that are set; the kernel has checked the ranges, and has settings of its own in the same mapping."""
        return cls(**{name: value for name, value in settings.items() if name in HONOURED and value is not None})

    @property
    def rows(self) -> int:
        """Rows that run at once; the others wait."""
        return 1 if self.mode == "single" else self.completion_batch_size


def keeps_prefixes(config: VllmConfig, settings: Settings) -> bool:
    """Whether KV caches of earlier prompts are kept."""
    return settings.prefix_cache_enabled and config.cache_memory_mb > 0


def scheduler_arguments(config: VllmConfig, settings: Settings) -> Mapping[str, Any]:
    """The fields of vllm-mlx's `SchedulerConfig`.

    `max_num_seqs` bounds the rows: its generator takes `completion_batch_size` for at least `prefill_batch_size`.
    """
    return {
        "max_num_seqs": settings.rows,
        "completion_batch_size": settings.rows,
        "prefill_batch_size": min(settings.prefill_batch_size, settings.rows),
        "prefill_step_size": config.prefill_step_size,
        "enable_prefix_cache": keeps_prefixes(config, settings),
        "use_memory_aware_cache": True,
        "cache_memory_mb": config.cache_memory_mb or None,
        "kv_cache_quantization": config.kv_cache_quantization,
        "kv_cache_quantization_bits": config.kv_cache_quantization_bits,
        "kv_cache_quantization_group_size": config.kv_cache_quantization_group_size,
        "kv_cache_min_quantize_tokens": config.kv_cache_min_quantize_tokens,
    }
