"""The settings of a model that this engine honours, read once; llama.cpp is not imported here."""

from collections.abc import Mapping
from typing import Any

from attrs import fields_dict, frozen

from lmx_hookspecs.errors import UnsupportedParameter

HONOURED = frozenset(
    {
        "mode",
        "context_length",
        "completion_batch_size",
        "prefix_cache_enabled",
        "kv_bits",
        "kv_budget_gb",
        "gpu_layers",
        "draft_model",
        "num_draft_tokens",
        "prompt_lookup",
        "adapters",
    }
)
DEFAULT_ROWS = 32
DEFAULT_DRAFT_TOKENS = 4
ALL_LAYERS = -1
BLOCK = 32
"""Numbers that share a scale in llama.cpp's types q8_0 and q4_0."""
BLOCK_BYTES: Mapping[int | None, int] = {None: 2 * BLOCK, 8: BLOCK + 2, 4: BLOCK // 2 + 2}
"""What a block takes by `kv_bits`: float16 without."""


@frozen(kw_only=True)
class Settings:
    """`ModelInfo.settings`, with this engine's defaults where they say nothing."""

    mode: str | None = None
    context_length: int | None = None
    completion_batch_size: int = DEFAULT_ROWS
    prefix_cache_enabled: bool = True
    kv_bits: int | None = None
    kv_budget_gb: float | None = None
    gpu_layers: int = ALL_LAYERS
    num_draft_tokens: int = DEFAULT_DRAFT_TOKENS
    prompt_lookup: bool = False

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Settings":
        """Those that are set; the kernel has checked the ranges, and has settings of its own in the same mapping."""
        own = fields_dict(cls)
        return cls(**{name: value for name, value in settings.items() if name in own and value is not None})

    @property
    def rows(self) -> int:
        """Rows that run together."""
        return 1 if self.mode == "single" else self.completion_batch_size

    @property
    def block_bytes(self) -> int:
        """What 32 numbers of a key or value take in the KV cache."""
        return BLOCK_BYTES.get(self.kv_bits, BLOCK_BYTES[None])

    def check(self) -> None:
        """Raises UnsupportedParameter for what no model can honour."""
        if self.kv_bits not in BLOCK_BYTES:
            raise UnsupportedParameter(f"kv_bits is {self.kv_bits}; llama.cpp's caches take 4 or 8", param="kv_bits")
