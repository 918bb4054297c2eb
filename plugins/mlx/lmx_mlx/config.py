"""Configuration of the MLX engine: `plugins.mlx`."""

from attrs import frozen

from lmx_hookspecs import option


@frozen(kw_only=True)
class MlxConfig:
    """What one MLX worker may use; rows, context length and mode are settings of each model."""

    prefix_cache_bytes: int = option(
        512 * 1024 * 1024,
        "Bytes of KV cache that one model keeps of finished rows, so that a prompt with the same beginning skips it; "
        "within what running rows leave of its KV budget.",
        ge=0,
    )
    prefix_cache_disk_bytes: int = option(
        0,
        "Bytes under $LMX_HOME/prefix-caches in which all models together keep such caches beyond a restart; 0 keeps "
        "none. They hold what was said, in files that only the server's user can read.",
        ge=0,
    )
    prefill_budget_ms: float = option(
        25.0,
        "How long one prefill chunk may hold up the rows that are being decoded; at least two of their own steps.",
        gt=0,
    )
    idle_prefill_budget_ms: float = option(
        250.0,
        "How long one prefill chunk may take while nothing is decoded: a cancellation or a new row waits so long.",
        gt=0,
    )
    lane_padding_ratio: float = option(
        1.0,
        "A row joins a batch of rows of other lengths while the padding that this costs is no more than the bytes of "
        "the weights times this; otherwise it gets a lane of its own. 0: only rows of one length share a lane.",
        ge=0,
    )
    float32_on_cpu: bool = option(
        True,
        "Convert 16-bit weights to float32 where MLX runs on the CPU: twice the memory, many times the speed.",
    )
