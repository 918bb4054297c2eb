"""Which files an ingest takes, under which ids, and how it knows those that have not changed."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from attrs import frozen

from lmx_hookspecs.errors import Conflict, NotFound
from lmx_rag.origin import SOURCE
from lmx_rag.tree import leads_out

READ_BYTES = 2**20


@frozen(kw_only=True)
class Selection:
    """Patterns for names and for paths below the folder that was given."""

    globs: Sequence[str] = ()
    """One of them must match, where there are any."""
    excludes: Sequence[str] = ()
    """None of them may, neither for a file nor for a folder above it."""

    def wants(self, relative: Path) -> bool:
        """Whether a file below a folder is taken."""
        if any(_matches(part, self.excludes) for part in (relative, *relative.parents[:-1])):
            return False
        return not self.globs or _matches(relative, self.globs)


@frozen(kw_only=True)
class SourceFile:
    """A file to ingest."""

    path: Path
    """Absolute."""
    id: str
    """Of its document: the name of the folder that was given, and the path below it, as `rag.watch` has it."""
    named: bool = False
    """It was given itself, not found in a folder."""

    @property
    def shown(self) -> str:
        """The path for people; names may hold bytes that are no text, and characters that would spoil a line."""
        text = os.fsencode(self.path).decode(errors="replace")
        return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)

    def fingerprint(self, made_how: Mapping[str, Any]) -> str:
        """The hash of the content and of what else decides what becomes of it; raises OSError."""
        digest = hashlib.sha256(repr(sorted(made_how.items())).encode())
        with self.path.open("rb") as file:
            while block := file.read(READ_BYTES):
                digest.update(block)
        return digest.hexdigest()


def files_below(paths: Iterable[Path], selection: Selection) -> list[SourceFile]:
    """The files at these paths, each once, in order; raises NotFound where there is nothing.

    Files that are named are taken whatever the patterns say. Hidden files and folders below a folder are left out, and
    so are links that lead out of it; links to folders are not followed.
    """
    found: dict[str, SourceFile] = {}
    for file in (file for path in paths for file in _files(path, selection)):
        other = found.setdefault(file.id, file)
        if other.path != file.path:
            raise Conflict(
                f"{file.path} and {other.path} would both be the document {file.id}, which is called after its folder; "
                "ingest one of them into another collection"
            )
    return list(found.values())


def gone(documents: Iterable[Mapping[str, Any]], roots: Sequence[Path]) -> list[str]:
    """Ids of the documents that came from below these folders, and whose files are no longer there."""
    folders = [root.resolve() for root in roots if root.is_dir()]
    return [document["id"] for document in documents if _is_gone(document["metadata"].get(SOURCE), folders)]


def _is_gone(source: Any, folders: Sequence[Path]) -> bool:
    if not isinstance(source, str):
        return False
    path = Path(source)
    return any(path.is_relative_to(folder) for folder in folders) and not path.exists()


def _files(path: Path, selection: Selection) -> Iterator[SourceFile]:
    """A file is called as if its folder had been given."""
    if not path.exists():
        raise NotFound(f"there is nothing at {path}; name files or folders that are there")
    here = path.resolve()
    if not here.is_dir():
        yield SourceFile(path=here, id=f"{here.parent.name}/{here.name}".lstrip("/"), named=True)
        return
    for relative in _walk(here, selection):
        yield SourceFile(path=here / relative, id=f"{here.name}/{relative.as_posix()}".lstrip("/"))


def _walk(folder: Path, selection: Selection) -> Iterator[Path]:
    """Paths below the folder."""
    for place, folders, names in os.walk(folder):
        here = Path(place)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = here / name
            relative = path.relative_to(folder)
            hidden = name.startswith(".")
            if not hidden and path.is_file() and not leads_out(folder, path) and selection.wants(relative):
                yield relative


def _matches(relative: Path, patterns: Sequence[str]) -> bool:
    return any(fnmatch(relative.name, pattern) or fnmatch(relative.as_posix(), pattern) for pattern in patterns)
