"""Configuration of the GGUF engine: `plugins.gguf`."""

from attrs import frozen

from lmx_hookspecs import option


@frozen(kw_only=True)
class GgufConfig:
    """What one GGUF worker may use; rows, context length and offload are settings of each model."""

    threads: int = option(
        0,
        "Threads that compute; 0: one less than the physical cores that this process may use (of Apple silicon, than "
        "the performance cores), so that the server itself holds nobody up.",
        ge=0,
        le=512,
    )
    batch_tokens: int = option(
        2048, "Tokens of all rows that one step may compute: bounds llama.cpp's buffers.", ge=32, le=65536
    )
    prefill_budget_ms: float = option(
        25.0,
        "How long the prompts in a step may hold up the rows that are being decoded; at least two of their own steps.",
        gt=0,
    )
    idle_prefill_budget_ms: float = option(
        250.0,
        "How long a step may take while nothing is decoded: a cancellation or a new row waits so long.",
        gt=0,
    )
    prefix_cache_rows: int = option(
        32, "Finished rows whose KV cache is kept for prompts that begin like them; 0 keeps none.", ge=0, le=128
    )
    prefix_cache_min_tokens: int = option(
        0,
        "Shortest finished row that is kept: later steps pass over its cells. 0: what takes a tenth of a second to "
        "compute, by the speed measured at the load, from 64 to 512 tokens.",
        ge=0,
    )
    prefix_cache_bytes: int = option(
        512 * 1024 * 1024,
        "Bytes of KV cache that finished rows may keep, within what running rows leave of the model's KV budget, and "
        "at most half of it: attention passes over the cells of all.",
        ge=0,
    )
