"""Writes the cache of huggingface_hub: blobs by checksum, and snapshots of links to them.

The layout is documented at https://huggingface.co/docs/huggingface_hub/guides/manage-cache. Nothing that is half there
is ever linked, so neither we nor other tools take it for a model.
"""

import fcntl
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from lmx_hookspecs.errors import Conflict
from lmx_hub.api import HubFile

PREFIX = "models--"
WEIGHTS = (".safetensors", ".gguf")


@frozen
class CachedRepository:
    """One repository's folder in the cache, whether it exists or not."""

    cache: Path
    repo_id: str

    @property
    def folder(self) -> Path:
        """Where everything of it lies."""
        return self.cache / f"{PREFIX}{self.repo_id.replace('/', '--')}"

    def blob(self, file: HubFile) -> Path:
        """Where a complete file is."""
        return self.folder / "blobs" / file.etag

    def partial(self, file: HubFile) -> Path:
        """Where it grows; huggingface_hub's own names are not touched, since it may be at work too."""
        return self.folder / "blobs" / f"{file.etag}.lmx.incomplete"

    def has(self, file: HubFile) -> bool:
        """Whether it is complete."""
        return _size(self.blob(file)) == file.size_bytes

    def present_bytes(self, file: HubFile) -> int:
        """How much of it is here."""
        return file.size_bytes if self.has(file) else _size(self.partial(file)) or 0

    @contextmanager
    def locked(self, wait: Callable[[], bool]) -> Iterator[None]:
        """Keep other LMX processes from writing there; `wait()` pauses before another try, False gives up.

        Raises Conflict.
        """
        path = self.cache / ".locks" / self.folder.name / "lmx.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as lock:
            while not _try_lock(lock.fileno()):
                if not wait():
                    raise Conflict(
                        f"another process is downloading or deleting {self.repo_id}; try again when it is done"
                    )
            yield

    def publish(self, commit: str, reference: str | None, files: Sequence[HubFile]) -> Path:
        """Show these complete files as the snapshot of a commit, and as that of a branch or tag; returns its folder."""
        snapshot = self.folder / "snapshots" / commit
        hidden = self.folder / f".{commit}.lmx"
        shutil.rmtree(hidden, ignore_errors=True)
        grows = snapshot.exists()
        # What is opened goes last: until then the rest is no model.
        for file in sorted(files, key=lambda file: file.path.endswith(WEIGHTS)):
            self._link(snapshot if grows else hidden, file)
        if not grows:
            snapshot.parent.mkdir(exist_ok=True)
            hidden.rename(snapshot)
        if reference is not None:
            _write(self.folder / "refs" / reference, commit)
        return snapshot

    def _link(self, snapshot: Path, file: HubFile) -> None:
        link = snapshot / file.path
        # As seen from snapshots/<commit>, even while it is built elsewhere.
        target = Path(*[".."] * (2 + file.path.count("/")), "blobs", file.etag)
        if link.is_symlink() and link.readlink() == target:
            return
        link.parent.mkdir(parents=True, exist_ok=True)
        fresh = link.with_name(f".{link.name}.lmx")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target)
        fresh.replace(link)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.lmx")
    fresh.write_text(text, "utf-8")
    fresh.replace(path)
