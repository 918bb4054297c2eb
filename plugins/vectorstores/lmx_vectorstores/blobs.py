"""The bytes of files, each in one file of a folder; what is not in the database yet ends with `.part`."""

import os
import shutil
from collections.abc import Collection
from pathlib import Path

from attrs import frozen

from lmx_hookspecs.errors import InsufficientStorage

PART = ".part"


@frozen
class Blobs:
    """A folder that only the server's user can read. Its methods wait for the disk: call them in a thread."""

    folder: Path

    def path(self, file_id: str) -> Path:
        """Where the bytes of a file are."""
        return self.folder / file_id

    def take(self, source: Path, file_id: str) -> None:
        """Bring the bytes here, durably, and not yet as the file's; raises InsufficientStorage."""
        part = self._part(file_id)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _link_or_copy(source, part)
            part.chmod(0o600)
            _sync(part)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise InsufficientStorage(f"the file cannot be kept in {self.folder}: {error}; make room there") from error

    def settle(self, file_id: str) -> None:
        """They are the file's from now on."""
        self._part(file_id).replace(self.path(file_id))
        _sync(self.folder)

    def drop(self, file_id: str) -> None:
        """Forget them, wherever they are."""
        self._part(file_id).unlink(missing_ok=True)
        self.path(file_id).unlink(missing_ok=True)

    def recover(self, known: Collection[str]) -> None:
        """After a crash: settle what the database knows, and drop the rest of what was on its way."""
        for part in self.folder.glob(f"*{PART}"):
            file_id = part.name.removesuffix(PART)
            if file_id in known:
                self.settle(file_id)
            else:
                part.unlink(missing_ok=True)

    def _part(self, file_id: str) -> Path:
        return self.folder / f"{file_id}{PART}"


def _link_or_copy(source: Path, target: Path) -> None:
    """A link costs nothing, and is there on one file system only."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
