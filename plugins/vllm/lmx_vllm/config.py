"""Configuration of the vllm-mlx engine: `plugins.vllm`; keys that vllm-mlx has too have its names."""

from typing import Literal

from attrs import frozen

from lmx_hookspecs import option


@frozen(kw_only=True)
class VllmConfig:
    """What one vllm-mlx worker may use; rows, context length and mode are settings of each model."""

    cache_memory_mb: int = option(
        512, "MB of KV cache that one model keeps of earlier prompts; 0 keeps none.", ge=0, le=1_000_000
    )
    kv_cache_quantization: bool = option(
        False, "Keep those caches quantised: several times as many fit, and their answers may differ a little."
    )
    kv_cache_quantization_bits: Literal[4, 8] = option(8, "Bits of a quantised cache.")
    kv_cache_quantization_group_size: Literal[32, 64, 128] = option(
        64, "Numbers that share a scale in a quantised cache."
    )
    kv_cache_min_quantize_tokens: int = option(256, "Shorter caches stay as they are.", ge=0)
    prefill_step_size: int = option(
        2048,
        "Tokens of each prompt that are taken in between two tokens of the running rows.",
        ge=16,
        le=65_536,
    )
    float32_on_cpu: bool = option(
        True,
        "Convert 16-bit weights to float32 where MLX runs on the CPU: twice the memory, many times the speed.",
    )
    gpu_memory_utilization: float = option(0.9, "How much of what Metal recommends MLX may allocate.", gt=0, le=1)
