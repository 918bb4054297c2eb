"""Keys of plugin `fifo`."""

from attrs import frozen

from lmx_hookspecs import option


@frozen(kw_only=True)
class FifoConfig:
    """Bounds of each model's queue."""

    max_queue: int = option(
        128, "requests that may wait per model; the next one is answered 429", ge=0, le=100_000, restart=False
    )
    max_wait_s: float = option(
        30.0, "seconds a request may wait before it is answered 429", gt=0, le=86_400, restart=False
    )
