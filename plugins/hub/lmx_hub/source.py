"""Reads the cache of huggingface_hub: `models--org--name/refs/main` names the snapshot that holds the files.

The layout is documented at https://huggingface.co/docs/huggingface_hub/guides/manage-cache.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import define, field

from lmx_hookspecs import Context, ModelInfo
from lmx_hookspecs.errors import ModelNotFound
from lmx_hookspecs.model_files import Listing, ReadFolder, check_model_id, look
from lmx_hub.cache import PREFIX, CachedRepository
from lmx_hub.deleting import delete_gguf, delete_repository
from lmx_hub.names import is_repository, target_of


@define(eq=False)
class HubSource:
    """Models of the cache by their repository's name, `org/name`, and GGUF files as `org/name/file.gguf`."""

    _ctx: Context
    _cache: Path
    _listing: Listing = field(init=False)
    _changed_ns: dict[str, int] = field(factory=dict, init=False)
    """When the repositories were changed that were asked for in vain."""

    def __attrs_post_init__(self) -> None:
        self._look_again()

    def models(self) -> Sequence[ModelInfo]:
        """Everything that is complete in the cache now."""
        return list(self._listing.by_id().values())

    def find(self, model_id: str) -> ModelInfo | None:
        """The model of that id; a repository's name stands for its usual GGUF file too, `repo:QUANT` for another.

        Raises InvalidRequest for an impossible id.
        """
        check_model_id(model_id)
        info = self._known(model_id)
        if info is None and self._has_changed(model_id):
            self._look_again()
            info = self._known(model_id)
        return info

    def delete(self, model_id: str) -> int:
        """Delete a repository with all its revisions, or one of its GGUF models; returns the bytes freed.

        Raises ModelNotFound, and Conflict while it is being downloaded.
        """
        target = target_of(model_id)
        if target.quantisation is not None:
            return self.delete(self._file_meant(model_id, target.repo_id))
        repository = CachedRepository(self._cache, target.repo_id)
        siblings = [
            key for key in self._listing.by_id() if key == target.repo_id or key.startswith(f"{target.repo_id}/")
        ]
        if not repository.folder.is_dir() or (target.file and model_id not in siblings):
            raise ModelNotFound(f"the cache at {self._cache} holds no model {model_id}", param="model_id")
        if target.file and len(siblings) > 1:
            freed = delete_gguf(repository, target.file)
        else:
            freed = delete_repository(repository)
        self._look_again()
        return freed

    def _known(self, model_id: str) -> ModelInfo | None:
        """Folders of a repository have no name of their own."""
        stands_alone = is_repository(model_id.partition(":")[0]) or model_id in self._listing.by_id()
        return self._listing.find(model_id) if stands_alone or model_id.endswith(".gguf") else None

    def _file_meant(self, model_id: str, repo_id: str) -> str:
        """The id of the file that an id with a quantisation means."""
        meant = self.find(model_id)
        for key, info in self._listing.by_id().items():
            if meant is not None and info.path == meant.path:
                return key
        raise ModelNotFound(f"the cache at {self._cache} holds no {model_id} of {repo_id}", param="model_id")

    def _has_changed(self, model_id: str) -> bool:
        """Whether something has come into its repository since it was last asked for in vain."""
        repo_id = "/".join(model_id.split("/")[:2]).partition(":")[0]
        if not is_repository(repo_id):
            return False
        snapshots = CachedRepository(self._cache, repo_id).folder / "snapshots"
        times_ns = [path.stat().st_mtime_ns for path in (snapshots, *snapshots.glob("*")) if path.is_dir()]
        latest_ns = max(times_ns, default=0)
        changed = latest_ns != self._changed_ns.get(repo_id, 0)
        if changed:
            self._changed_ns[repo_id] = latest_ns
        return changed

    def _look_again(self) -> None:
        self._listing = Listing("hub", self._scan, self._skipped)

    def _scan(self, read: ReadFolder) -> Iterator[ModelInfo]:
        for repository in self._repositories():
            try:
                snapshot = _snapshot(repository)
                if snapshot is not None:
                    yield from _models(snapshot, repository, read)
            except OSError as error:
                self._skipped(repository, str(error))

    def _repositories(self) -> Sequence[Path]:
        try:
            return sorted(self._cache.glob(f"{PREFIX}*"))
        except OSError as error:
            self._skipped(self._cache, str(error))
            return []

    def _skipped(self, path: Path, reason: str) -> None:
        self._ctx.log.warning("cached_model_skipped", path=str(path), reason=reason)


def _models(snapshot: Path, repository: Path, read: ReadFolder) -> Iterator[ModelInfo]:
    """The snapshot's models, and the GGUF files of its folders, one level down: large ones come in folders."""
    root = repository.resolve()
    model_id = repository.name.removeprefix(PREFIX).replace("--", "/")
    folder = look(snapshot, root)
    yield from read(folder, model_id)
    for name in folder.folders:
        inner = look(snapshot / name, root)
        yield from (info for info in read(inner, f"{model_id}/{name}") if info.format == "gguf")


def _snapshot(repository: Path) -> Path | None:
    """The snapshot of the branch `main`, else the newest; None where there is none."""
    snapshots = {
        path.name: path for path in (repository / "snapshots").glob("*") if path.is_dir() and not path.is_symlink()
    }
    reference = repository / "refs" / "main"
    commit = reference.read_text("utf-8", "replace").strip() if reference.is_file() else ""
    newest = max(snapshots.values(), key=lambda path: path.stat().st_mtime, default=None)
    return snapshots.get(commit, newest)
