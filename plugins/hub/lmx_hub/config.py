"""The keys of `plugins.hub`; where the hub and its cache are is said by huggingface_hub's own environment variables."""

from attrs import frozen

from lmx_hookspecs import option

MOST_AT_ONCE = 16


@frozen(kw_only=True)
class HubConfig:
    """Whether models are downloaded, and how many at once."""

    downloads_enabled: bool = option(
        True, "download models when an operator asks for one; false only lists the cache", restart=False
    )
    max_concurrent_downloads: int = option(
        2, "downloads that run at once; further ones wait", ge=1, le=MOST_AT_ONCE, restart=False
    )
