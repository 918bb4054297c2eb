"""Disk space that is kept so that something can be deleted on a full disk: to delete, too, SQLite writes first."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from attrs import define, field

from lmx_hookspecs.errors import InsufficientStorage

T = TypeVar("T")
RESERVE_BYTES = 8 * 2**20


@define(eq=False)
class Reserve:
    """A file of zeros. Nothing is taken in while it cannot be there."""

    file: Path
    size_bytes: int = RESERVE_BYTES
    _held: bool = field(default=False, init=False)

    @property
    def held(self) -> bool:
        """Whether it is there."""
        return self._held

    def make(self) -> bool:
        """Whether it is there, now at the latest; as much again must be free, for what was freed is needed as well."""
        if not self._held and shutil.disk_usage(self.file.parent).free >= 2 * self.size_bytes:
            self._held = self._written()
        return self._held

    def require(self) -> None:
        """Raises InsufficientStorage where it cannot be made."""
        if not self.make():
            raise InsufficientStorage(
                f"the disk of {self.file.parent} has less than {2 * self.size_bytes // 2**20} MB left; delete "
                f"documents or collections, or make room on it"
            )

    def freeing(self, work: Callable[[], T], between: Callable[[], None]) -> T:
        """Do what frees space; on a full disk once more, with the space of the reserve, after `between`."""
        try:
            return work()
        except InsufficientStorage:
            self._release()
            between()
            return work()

    def _release(self) -> None:
        self.file.unlink(missing_ok=True)
        self._held = False

    def _written(self) -> bool:
        """Zeros, since a file system may promise space that it does not have."""
        try:
            if self.file.exists() and self.file.stat().st_size == self.size_bytes:
                return True
            descriptor = os.open(self.file, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(bytes(self.size_bytes))
        except OSError:  # the disk is as full as before
            self.file.unlink(missing_ok=True)
            return False
        return True
