"""The settings of a model that this engine honours, read once; MLX is not imported here."""

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from lmx_hookspecs.errors import UnsupportedParameter

HONOURED = frozenset(
    {
        "adapters",
        "mode",
        "context_length",
        "completion_batch_size",
        "prefill_batch_size",
        "prefix_cache_enabled",
        "kv_bits",
        "kv_group_size",
        "kv_budget_gb",
        "metal_cache_limit_gb",
        "ignore_remote_code",
        "draft_model",
        "num_draft_tokens",
        "prompt_lookup",
    }
)
OF_THE_KERNEL = frozenset({"adapters"})
"""Honoured here, but made into a model of its own by the kernel: the engine sees `ModelInfo.adapter`."""
DEFAULT_ROWS = 32
DEFAULT_PREFILL_ROWS = 8
DEFAULT_KV_GROUP_SIZE = 64
DEFAULT_DRAFT_TOKENS = 3
KV_BITS = (4, 8)
KV_GROUP_SIZES = (32, 64, 128)
"""Those that MLX has kernels for."""


@frozen(kw_only=True)
class KvQuantization:
    """How keys and values are quantised: `group_size` values share a scale and a bias."""

    bits: int
    group_size: int

    def vector_bytes(self, length: int, scale_bytes: int) -> int:
        """What one vector takes, with its scales and biases of `scale_bytes` each."""
        return length * self.bits // 8 + length // self.group_size * 2 * scale_bytes


@frozen(kw_only=True)
class Settings:
    """`ModelInfo.settings`, with this engine's defaults where they say nothing."""

    mode: str | None = None
    context_length: int | None = None
    completion_batch_size: int = DEFAULT_ROWS
    prefill_batch_size: int = DEFAULT_PREFILL_ROWS
    prefix_cache_enabled: bool = True
    kv_bits: int | None = None
    kv_group_size: int = DEFAULT_KV_GROUP_SIZE
    kv_budget_gb: float | None = None
    metal_cache_limit_gb: float | None = None
    ignore_remote_code: bool = False
    draft_model: str | None = None
    num_draft_tokens: int = DEFAULT_DRAFT_TOKENS
    prompt_lookup: bool = False

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Settings":
        """Those that are set; the kernel has checked the ranges, and has settings of its own in the same mapping."""
        read = HONOURED - OF_THE_KERNEL
        return cls(**{name: value for name, value in settings.items() if name in read and value is not None})

    @property
    def kv_quantization(self) -> KvQuantization | None:
        """How keys and values are quantised, None where they are not."""
        return KvQuantization(bits=self.kv_bits, group_size=self.kv_group_size) if self.kv_bits else None

    @property
    def drafts(self) -> str | None:
        """The setting that makes tokens be guessed ahead, if one does."""
        if self.draft_model is not None:
            return "draft_model"
        return "prompt_lookup" if self.prompt_lookup else None

    @property
    def batches(self) -> bool:
        """Whether rows may share a batch; quantised caches cannot, and rows whose tokens are guessed run alone."""
        return self.mode != "single" and self.kv_bits is None and self.drafts is None

    def check(self) -> None:
        """Raises UnsupportedParameter for what no model can honour."""
        if self.draft_model is not None and self.prompt_lookup:
            raise UnsupportedParameter(
                "draft_model and prompt_lookup exclude each other: both guess the next tokens; leave one of them out",
                param="prompt_lookup",
            )
        if self.mode == "batch" and self.drafts is not None:
            raise UnsupportedParameter(
                f"mode batch and {self.drafts} exclude each other: speculative decoding works on one row at a time; "
                f"set mode to single, or leave {self.drafts} out",
                param="mode",
            )
        if self.kv_bits is not None:
            self._check_kv(self.kv_bits)

    def _check_kv(self, bits: int) -> None:
        if bits not in KV_BITS:
            raise UnsupportedParameter(f"kv_bits is {bits}; MLX caches take 4 or 8", param="kv_bits")
        if self.kv_group_size not in KV_GROUP_SIZES:
            raise UnsupportedParameter(
                f"kv_group_size is {self.kv_group_size}; MLX quantises in groups of 32, 64 or 128",
                param="kv_group_size",
            )
        if self.mode == "batch":
            raise UnsupportedParameter(
                "mode batch and kv_bits exclude each other: quantised KV caches cannot be merged into a batch; "
                "leave one of them out",
                param="mode",
            )
