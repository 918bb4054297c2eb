"""Keys of plugin `priority`."""

from attrs import frozen

from lmx_hookspecs import option


@frozen(kw_only=True)
class PriorityConfig:
    """Bounds of the queues, and what orders them."""

    max_queue: int = option(
        128, "requests that may wait per model; beyond that one is answered 429", ge=0, le=100_000, restart=False
    )
    max_wait_s: float = option(
        30.0, "seconds a request may wait before it is answered 429", gt=0, le=86_400, restart=False
    )
    ageing_s: float = option(
        5.0, "seconds after which a waiting request moves up one class", gt=0, le=86_400, restart=False
    )
    key_limit: int | None = option(
        None, "rows that may run at once for one API key, over all models; null is no limit", ge=1, restart=False
    )
    swap_patience_s: float = option(
        10.0,
        "seconds that requests for a loaded model go before one that needs its memory; 0 is not at all",
        ge=0,
        le=86_400,
        restart=False,
    )
    adapt_to_memory: bool = option(True, "run fewer rows at once while memory is short", restart=False)
