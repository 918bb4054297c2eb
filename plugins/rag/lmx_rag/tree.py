"""What lies in a watched folder: its files by the ids of their documents, whatever changes while it is read."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

HIDDEN = "."


@frozen
class Seen:
    """A file as it was when it was looked at; equal ones are taken for unchanged."""

    path: Path
    modified_ns: int
    size_bytes: int
    inode: int


@frozen
class Tree:
    """The files of a folder."""

    files: dict[str, Seen]
    """By document id."""
    complete: bool
    """False where there were more than wanted, or a part could not be read: what is missing may still be there."""
    unnameable: int = 0
    """Files whose names are no Unicode."""


def document_id(root: Path, path: Path) -> str:
    """The folder's own name and the path below it: `notes/2026/plan.md`; the same wherever the folder lies."""
    return f"{root.name}/{path.relative_to(root).as_posix()}"


def look(root: Path, max_files: int) -> Tree:
    """Everything but what is hidden, links that lead out of the folder, and what links to folders lead to."""
    files: dict[str, Seen] = {}
    unread: list[OSError] = []
    unnameable = 0
    for path in _paths(root, unread):
        seen = _seen(root, path)
        if seen is None:
            continue
        if not _is_text(str(path)):
            unnameable += 1
        elif len(files) >= max_files:
            return Tree(files, complete=False, unnameable=unnameable)
        else:
            files[document_id(root, path)] = seen
    vanished = all(isinstance(error, FileNotFoundError) for error in unread)
    return Tree(files, complete=vanished, unnameable=unnameable)


def _paths(root: Path, unread: list[OSError]) -> Iterator[Path]:
    for folder, folders, names in os.walk(root, onerror=unread.append):
        folders[:] = sorted(name for name in folders if not name.startswith(HIDDEN))
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith(HIDDEN))


def leads_out(root: Path, path: Path) -> bool:
    """Whether it is a link to something that does not lie below the folder; raises OSError."""
    return path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(root)


def _seen(root: Path, path: Path) -> Seen | None:
    try:
        if leads_out(root, path):
            return None
        facts = path.stat()
    except OSError:  # it went away, or is a link to nothing or to itself
        return None
    if not stat.S_ISREG(facts.st_mode):
        return None
    return Seen(path, facts.st_mtime_ns, facts.st_size, facts.st_ino)


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
