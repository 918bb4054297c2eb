"""Downloads: models that a hub offers, and how they come here."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from attrs import frozen

from lmx_hookspecs.config import option


@frozen(kw_only=True)
class DownloadRequest:
    """Which files of which repository."""

    repo_id: str = option(doc="name of the repository, such as org/model", min_length=1, max_length=256)
    revision: str | None = option(None, "branch, tag or commit; null is the main branch", min_length=1, max_length=256)
    allow_patterns: Sequence[str] | None = option(None, "only files that match one of these; null takes weights only")
    ignore_patterns: Sequence[str] | None = option(None, "no files that match one of these")


@frozen(kw_only=True)
class RemoteFile:
    """A file of a repository; `sha256` is known for large ones."""

    path: str
    size_bytes: int
    sha256: str | None = None


@frozen(kw_only=True)
class RemoteModel:
    """What a download would bring."""

    repo_id: str
    commit: str
    files: Sequence[RemoteFile]
    destination: Path
    """The folder on whose disk there must be room."""
    present_bytes: int = 0
    """How much of it is here already."""

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(file.size_bytes for file in self.files)


class Downloader(Protocol):
    """Looks models up on a hub. The transfer itself is a job, so that it runs in a process of its own."""

    @property
    def job(self) -> str:
        """Name of the JobSpec that fetches: its arguments are the fields of DownloadRequest.

        Its progress carries `downloaded_bytes`, `total_bytes`, `files_completed` and `files_total`; its result `path`.
        """

    @property
    def max_concurrent(self) -> int:
        """How many of its jobs run at once; further downloads wait."""

    def look_up(self, request: DownloadRequest) -> RemoteModel:
        """Sizes and checksums; may take its time: the kernel calls it in a thread.

        Raises ModelNotFound, Forbidden for a gated repository, Unavailable (`hub_unreachable`).
        """


class DownloadState(StrEnum):
    """How far a download is."""

    DOWNLOADING = "downloading"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@frozen(kw_only=True)
class DownloadStatus:
    """A download as operators see it."""

    id: str
    request: DownloadRequest
    state: DownloadState
    total_bytes: int
    downloaded_bytes: int = 0
    files_total: int = 0
    files_completed: int = 0
    error: str | None = None
    started_at: float = 0.0
    """Unix time in seconds, as `finished_at`."""
    finished_at: float | None = None
    loads: bool = False
    """Whether the model is loaded once it is there."""
    joined: bool = False
    """In the answer to a start: whether it was in progress already."""


@frozen(kw_only=True)
class DownloadOffer:
    """A download that waits for a yes."""

    token: str
    request: DownloadRequest
    size_bytes: int
    expires_s: float
    """Seconds for which the token works."""
