"""Takes models out of the cache, and counts what that really freed: blobs, not the links to them."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lmx_hookspecs.errors import Conflict
from lmx_hookspecs.model_files import SPLIT
from lmx_hub.cache import CachedRepository

TRASH = ".deleted.lmx"


def delete_repository(repository: CachedRepository) -> int:
    """All of it, with every revision and what of a download has come; returns the bytes freed. Raises Conflict."""
    folder, trash = repository.folder, repository.cache / TRASH
    with _alone(repository):
        shutil.rmtree(trash, ignore_errors=True)  # of a deletion that was cut short
        freed = _blob_bytes(folder)
        trash.mkdir()
        # Renamed first: half a deletion must not look like a model.
        shutil.rmtree(folder.rename(trash / folder.name))
        trash.rmdir()
    return freed


def delete_gguf(repository: CachedRepository, file: str) -> int:
    """One GGUF model, in every revision; returns the bytes freed. Raises Conflict."""
    with _alone(repository):
        links = {path: path.resolve() for path in _links(repository)}
        gone = {path for path in links if _belongs(_inside_snapshot(repository, path), file)}
        kept = {blob for path, blob in links.items() if path not in gone}
        blobs = {links[path] for path in gone} - kept
        freed = sum(blob.stat().st_size for blob in blobs)
        for path in [*gone, *blobs]:
            path.unlink(missing_ok=True)  # where links are not supported, a file is its own blob
    return freed


@contextmanager
def _alone(repository: CachedRepository) -> Iterator[None]:
    """Nobody downloads it, and it is in the cache and not merely linked from there; raises Conflict."""
    if not repository.folder.resolve().is_relative_to(repository.cache.resolve()):
        raise Conflict(
            f"{repository.folder} leads out of the cache, where LMX deletes nothing; delete the folder it links to"
        )
    try:
        with repository.locked(lambda: False):
            yield
    except OSError as error:
        raise Conflict(f"{repository.repo_id} could not be deleted: {error}; check who owns the cache") from error


def _blob_bytes(folder: Path) -> int:
    facts = [path.lstat() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return sum({(fact.st_dev, fact.st_ino): fact.st_size for fact in facts}.values())


def _links(repository: CachedRepository) -> list[Path]:
    root = repository.folder.resolve()
    found = [path for path in (repository.folder / "snapshots").rglob("*") if path.is_file()]
    return [path for path in found if path.resolve().is_relative_to(root)]


def _inside_snapshot(repository: CachedRepository, path: Path) -> str:
    _snapshots, _commit, *inside = path.relative_to(repository.folder).parts
    return "/".join(inside)


def _belongs(path: str, file: str) -> bool:
    """Whether this is the file, or another part of the same model."""
    one, other = SPLIT.fullmatch(path), SPLIT.fullmatch(file)
    if one is None or other is None:
        return path == file
    return (one["stem"], one["parts"], one["suffix"]) == (other["stem"], other["parts"], other["suffix"])
