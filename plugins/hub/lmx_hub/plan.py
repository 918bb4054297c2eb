"""What a request for a download comes down to: the same for those who ask ahead and for the job itself."""

from collections.abc import Sequence

from attrs import frozen

from lmx_hookspecs import DownloadRequest
from lmx_hookspecs.errors import Unavailable
from lmx_hub.api import Hub, HubFile, Revision
from lmx_hub.config import HubConfig
from lmx_hub.names import COMMIT, MAIN, Target, check_revision, target_of
from lmx_hub.selection import left_out, select


@frozen
class Plan:
    """These files of this commit."""

    revision: Revision
    files: tuple[HubFile, ...]
    reference: str | None
    """The branch or tag that was asked for; None for a commit."""
    left_out: Sequence[str] = ()
    """Files that a pattern included, and that may hold code."""

    @property
    def blobs(self) -> Sequence[HubFile]:
        """What is to be fetched: of files with the same contents, one."""
        return list({file.etag: file for file in self.files}.values())


def checked(config: HubConfig, request: DownloadRequest) -> Target:
    """The repository that is meant; raises InvalidRequest, and Unavailable where downloads are switched off."""
    target = target_of(request.repo_id)
    check_revision(request.revision or MAIN)
    if not config.downloads_enabled:
        raise Unavailable(
            "downloads are switched off; set plugins.hub.downloads_enabled: true and reload", code="no_downloader"
        )
    return target


def plan(hub: Hub, target: Target, request: DownloadRequest) -> Plan:
    """Ask the hub; raises ModelNotFound, InvalidRequest, Forbidden and Unavailable."""
    wanted = request.revision or MAIN
    revision = hub.revision(target.repo_id, wanted)
    files = tuple(select(revision.files, target, request))
    if revision.gated:
        hub.check_access(revision, files[0])
    reference = None if COMMIT.fullmatch(wanted) else wanted
    return Plan(revision, files, reference, left_out(revision.files, request))
