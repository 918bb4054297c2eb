"""What models and other residents hold of the machine's memory."""

from collections.abc import Sequence

from attrs import frozen

WORKER_BYTES = 120 * 1000 * 1000
"""What a worker process takes for itself, before any weights: with MLX 117 MB on Linux, jemalloc included."""


@frozen(kw_only=True)
class MemoryNeed:
    """What a model will take once it is loaded, known before it is."""

    weight_bytes: int
    """Of the weights in the type that they are loaded in."""
    kv_bytes_per_token: int = 0
    """Of the KV cache, per token and row; 0 where that is not known."""
    kv_is_measured: bool = False
    """Whether the engine takes the whole KV cache when it loads, so that what it measures has it already."""


@frozen(kw_only=True)
class Holding:
    """One resident's entry in the ledger."""

    name: str
    kind: str = "model"
    reserved_bytes: int = 0
    """What is set aside for it: its estimate until it is ready, then what it took and may still grow by."""
    measured_bytes: int | None = None
    """What it was last seen to take; None until it is ready."""
    pinned: bool = False
    idle_s: float | None = None
    """Seconds since it was last used or loaded; None while it is in use."""


@frozen(kw_only=True)
class MemoryReport:
    """The ledger now, in bytes."""

    total_bytes: int
    """Of the machine, or of the control group that this process may not leave."""
    available_bytes: int
    """What the system could hand out now without swapping."""
    budget_bytes: int
    """What all residents together may hold."""
    held_bytes: int
    """The sum over the holdings, each with the larger of what was reserved and what was measured."""
    holdings: Sequence[Holding] = ()
