"""Files that LMX must remember, which nobody else can read."""

import fcntl
import os
from pathlib import Path

from attrs import define, field

PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600


def replace_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read: whole or not at all, also when the power fails; raises OSError.

    Those who write one path must hold a lock: what is being written stands beside it under a fixed name.
    """
    _make_private(path.parent)
    beside = path.with_name(f".{path.name}.new")
    try:
        _write_through(beside, data)
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


@define(eq=False)
class FileLock:
    """A lock between processes; it ends with the process that holds it, however that one ends."""

    path: Path
    _descriptor: int | None = field(default=None, init=False)

    def take(self, *, wait: bool = False) -> bool:
        """Whether it is ours, now or since an earlier call; raises OSError where its file cannot be made."""
        if self._descriptor is not None:
            return True
        _make_private(self.path.parent)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode())
        except OSError as error:
            os.close(descriptor)
            if isinstance(error, BlockingIOError):
                return False
            raise
        self._descriptor = descriptor
        return True

    def holder(self) -> int | None:
        """The process that took it last, where that is known."""
        try:
            text = self.path.read_text()
        except OSError:
            return None
        return int(text) if text.isdecimal() else None

    def release(self) -> None:
        """Let others have it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)


def _write_through(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, PRIVATE_FILE)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, PRIVATE_FILE)  # a file left by a write that was cut off keeps the mode it had
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    """Make the new name last, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
