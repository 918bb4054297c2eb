"""Tells the kernel what a download would bring."""

import os

from attrs import define

from lmx_hookspecs import DownloadRequest, RemoteFile, RemoteModel
from lmx_hub.api import open_hub
from lmx_hub.cache import CachedRepository
from lmx_hub.config import HubConfig
from lmx_hub.environment import cache_directory
from lmx_hub.plan import checked, plan


@define(eq=False)
class HubDownloader:
    """Looks models up on the Hugging Face hub, or one that speaks like it."""

    config: HubConfig
    job: str

    @property
    def max_concurrent(self) -> int:
        """How many downloads may run at once."""
        return self.config.max_concurrent_downloads

    def reconfigure(self, config: HubConfig) -> None:
        """New bounds, for downloads that begin from now on."""
        self.config = config

    def look_up(self, request: DownloadRequest) -> RemoteModel:
        """Sizes and checksums, and what is here already."""
        target = checked(self.config, request)
        with open_hub(os.environ) as hub:
            found = plan(hub, target, request)
        repository = CachedRepository(cache_directory(os.environ), target.repo_id)
        return RemoteModel(
            repo_id=request.repo_id,
            commit=found.revision.commit,
            files=[RemoteFile(path=file.path, size_bytes=file.size_bytes, sha256=file.sha256) for file in found.blobs],
            destination=repository.folder if repository.folder.exists() else repository.cache,
            present_bytes=sum(map(repository.present_bytes, found.blobs)),
        )
