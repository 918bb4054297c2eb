"""The store's folder: used by one process at a time, and rid of what belongs to no collection."""

import fcntl
import os
import shutil
from collections.abc import Set as AbstractSet
from pathlib import Path

from attrs import define

from lmx_hookspecs.errors import EngineFailed


@define(eq=False)
class DirectoryLock:
    """Held as long as its file is open: the system lets go of it when the process ends, however it does."""

    descriptor: int

    @classmethod
    def taken(cls, directory: Path) -> "DirectoryLock":
        """Make the folder, readable by its owner only; raises EngineFailed while another process has it."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(directory / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise EngineFailed(
                f"another process uses the store in {directory}; end it, or set rag.persist_path to another folder"
            ) from None
        return cls(descriptor)

    def release(self) -> None:
        """Let others have it."""
        os.close(self.descriptor)


def index_folder(directory: Path) -> Path:
    """That of all indexes, which only its owner can enter: what libraries write there need not be looked after."""
    folder = directory / "indexes"
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    return folder


def remove_strangers(directory: Path, collections: AbstractSet[int]) -> None:
    """Delete index files of collections that are there no more: what a crash has left between two steps of a drop."""
    for path in directory.iterdir() if directory.is_dir() else ():
        number = path.name.partition("-")[0]
        if not number.isdecimal() or int(number) in collections:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
