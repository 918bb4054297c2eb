"""Reads the cache of huggingface_hub: `models--org--name/refs/main` names the snapshot that holds the files.

The layout is documented at https://huggingface.co/docs/huggingface_hub/guides/manage-cache.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from attrs import define, field

from lmx_hookspecs import Context, ModelInfo
from lmx_hookspecs.model_files import Listing, ReadFolder, check_model_id, look

PREFIX = "models--"


def cache_directory(environment: Mapping[str, str]) -> Path:
    """Where the cache lies, by the variables that huggingface_hub reads, in its order."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if environment.get(name):
            return _expanded(environment[name])
    caches = environment.get("XDG_CACHE_HOME") or "~/.cache"
    home = environment.get("HF_HOME") or f"{caches}/huggingface"
    return _expanded(home) / "hub"


def _expanded(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:  # the home of nobody that this machine knows: there is nothing at such a path
        return Path(path)


@define(eq=False)
class HubSource:
    """Models of the cache by their repository's name, `org/name`; nothing is ever written there."""

    _ctx: Context
    _cache: Path
    _listing: Listing = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._listing = Listing("hub", self._scan, self._skipped)

    def models(self) -> Sequence[ModelInfo]:
        """Everything that is complete in the cache now."""
        return list(self._listing.by_id().values())

    def find(self, model_id: str) -> ModelInfo | None:
        """The model of that id; raises InvalidRequest for an impossible one."""
        check_model_id(model_id)
        return self._listing.find(model_id)

    def _scan(self, read: ReadFolder) -> Iterator[ModelInfo]:
        for repository in self._repositories():
            try:
                snapshot = _snapshot(repository)
                folder = look(snapshot, repository.resolve()) if snapshot else None
            except OSError as error:
                self._skipped(repository, str(error))
                continue
            if folder is not None:
                yield from read(folder, repository.name.removeprefix(PREFIX).replace("--", "/"))

    def _repositories(self) -> Sequence[Path]:
        try:
            return sorted(self._cache.glob(f"{PREFIX}*"))
        except OSError as error:
            self._skipped(self._cache, str(error))
            return []

    def _skipped(self, path: Path, reason: str) -> None:
        self._ctx.log.warning("cached_model_skipped", path=str(path), reason=reason)


def _snapshot(repository: Path) -> Path | None:
    """The snapshot of the branch `main`, else the newest; None where there is none."""
    snapshots = {
        path.name: path for path in (repository / "snapshots").glob("*") if path.is_dir() and not path.is_symlink()
    }
    reference = repository / "refs" / "main"
    commit = reference.read_text("utf-8", "replace").strip() if reference.is_file() else ""
    newest = max(snapshots.values(), key=lambda path: path.stat().st_mtime, default=None)
    return snapshots.get(commit, newest)
