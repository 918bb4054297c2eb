"""Plugin `hub`: downloads models from the Hugging Face hub, and offers those in its cache, whoever put them there."""

from collections.abc import Mapping, Sequence
from typing import Any

from lmx_hookspecs import (
    ConfigSpec,
    Context,
    Downloader,
    DownloadRequest,
    JobSpec,
    ModelSource,
    ModelSourceSpec,
    Progress,
    WorkerContext,
    hookimpl,
)
from lmx_hub.config import MOST_AT_ONCE, HubConfig

JOB = "hub-download"


@hookimpl
def lmx_config() -> Sequence[ConfigSpec]:
    """Whether models are downloaded, and how many at once."""
    return [ConfigSpec(cls=HubConfig)]


@hookimpl
def lmx_model_sources() -> Sequence[ModelSourceSpec]:
    """The source `hub`, and its downloader."""
    return [ModelSourceSpec(name="hub", open=_open, priority=50, downloader=_downloader)]


@hookimpl
def lmx_jobs() -> Sequence[JobSpec]:
    """The transfer."""
    return [JobSpec(name=JOB, arguments=DownloadRequest, run=_download, max_running=MOST_AT_ONCE)]


def _open(ctx: Context) -> ModelSource:
    import os

    from lmx_hub.environment import cache_directory
    from lmx_hub.source import HubSource

    return HubSource(ctx, cache_directory(os.environ))


def _downloader(ctx: Context) -> Downloader:
    from lmx_hub.downloader import HubDownloader

    return HubDownloader(ctx.config, JOB)


def _download(ctx: WorkerContext, request: DownloadRequest, progress: Progress) -> Mapping[str, Any]:
    from lmx_hub.job import download

    return download(ctx, request, progress)
