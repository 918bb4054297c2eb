"""Brings one file here: in pieces where the connection breaks, and only if it is what the hub says it is."""

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from lmx_hookspecs.errors import InsufficientStorage, Unavailable
from lmx_hub.api import Hub, HubFile, Revision, refusal, unreachable
from lmx_hub.cache import CachedRepository

if TYPE_CHECKING:
    import httpx

FAILURES = 8
"""In a row, without one byte in between; with the pauses between them about a minute."""
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
PASSING = frozenset({408, 416, 425, 429})
"""Statuses below 500 after which another try makes sense."""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Interrupted(Exception):
    """The connection broke, or the hub is not well; another try goes on where this one ended."""


@frozen(eq=False)
class Transfer:
    """Fetches files of one revision into the cache; may be used from several threads."""

    hub: Hub
    revision: Revision
    repository: CachedRepository
    received: Callable[[int], None]
    """Told bytes as they come, and a negative number where some must come again; what it raises ends the transfer."""
    pause: Callable[[float], None]
    """Waits so many seconds; what it raises ends the transfer too."""

    def fetch(self, file: HubFile) -> None:
        """Make it complete among the blobs; a wrong checksum is given one more try.

        Raises Forbidden, ModelNotFound, Unavailable and InsufficientStorage.
        """
        if self.repository.has(file):
            return
        partial = self.repository.partial(file)
        partial.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(2):
            with _room_on_disk(self.repository.repo_id):
                self._complete(file, partial)
            if checksum(partial, file) == file.etag:
                _settle(partial)
                partial.replace(self.repository.blob(file))
                return
            self.received(-partial.stat().st_size)
            partial.unlink()
        raise Unavailable(
            f"{file.path} of {self.revision.repo_id} came twice with a checksum other than {file.etag}, which the hub "
            "names: it was damaged on its way, or the hub serves a wrong file; try again over another network",
            code="hub_unreachable",
        )

    def _complete(self, file: HubFile, partial: Path) -> None:
        partial.touch()
        failures = 0
        while (have := partial.stat().st_size) < file.size_bytes:
            try:
                self._receive(file, partial, have)
            except Interrupted as error:
                failures = 1 if partial.stat().st_size > have else failures + 1
                if failures >= FAILURES:
                    raise unreachable(self.hub.url, str(error)) from error
                self.pause(min(FIRST_PAUSE_S * 2 ** (failures - 1), LONGEST_PAUSE_S))

    def _receive(self, file: HubFile, partial: Path, have: int) -> None:
        """Append what comes of the rest; raises Interrupted when that is not all of it."""
        with self._asked(file, have) as response, partial.open("ab", buffering=0) as target:
            if have and not _continues(response, have):
                target.truncate(0)
                self.received(-have)
                have = 0
            for piece in response.iter_raw():
                target.write(piece)
                have += len(piece)
                self.received(len(piece))
                if have > file.size_bytes:
                    return  # its checksum will tell
        if have < file.size_bytes:
            raise Interrupted(f"{file.path} ended after {have} of {file.size_bytes} bytes")

    @contextmanager
    def _asked(self, file: HubFile, have: int) -> "Iterator[httpx.Response]":
        import httpx

        headers = {"Range": f"bytes={have}-"} if have else {}
        path = self.hub.path_of(self.revision, file)
        try:
            with self.hub.client.stream("GET", path, headers=headers) as response:
                if response.status_code >= 500 or response.status_code in PASSING:
                    raise Interrupted(f"it answered {response.status_code} for {file.path}")
                if not response.is_success:
                    raise refusal(response, self.revision.repo_id)
                yield response
        except httpx.RequestError as error:
            raise Interrupted(str(error) or type(error).__name__) from error


def checksum(path: Path, file: HubFile) -> str:
    """What the file's name among the blobs has to be: SHA-256 of large files, git's SHA-1 of others."""
    with path.open("rb") as content:
        if file.sha256:
            return hashlib.file_digest(content, "sha256").hexdigest()
        header = f"blob {path.stat().st_size}\0".encode()
        return hashlib.file_digest(content, lambda: hashlib.sha1(header, usedforsecurity=False)).hexdigest()


def _settle(path: Path) -> None:
    """Have it on the disk before it gets the name of a complete file: a power failure must not leave it empty."""
    with path.open("rb") as content:
        os.fsync(content.fileno())


def _continues(response: "httpx.Response", have: int) -> bool:
    """Whether this answer goes on after the first `have` bytes; one that ignores ranges starts over."""
    return response.status_code == 206 and response.headers.get("content-range", "").startswith(f"bytes {have}-")


@contextmanager
def _room_on_disk(repo_id: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise InsufficientStorage(
            f"the disk is full while {repo_id} is being downloaded; free some space and start it again: it goes on "
            "from where it is"
        ) from error
